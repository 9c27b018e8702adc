"""Kernels, compiled or not."""

import os
import subprocess
import sys

import numpy as np
import pytest

from bicerin.kernels import COMPILED, kernel, prange


def increment_reference(x: np.ndarray, y: np.ndarray) -> None:
    if x.size != y.size:
        raise ValueError
    y[...] = x + 1


@kernel(reference=increment_reference, parallel=True, serial_below=100)
def increment(x, y):  # type: ignore[no-untyped-def]
    if x.size != y.size:
        raise ValueError
    for i in prange(x.size):
        y[i] = x[i] + 1


def threads() -> int:
    if not COMPILED:
        return 1
    import numba

    return numba.get_num_threads()


@pytest.mark.parametrize("size", [0, 1, 99, 100, 10_000])
def test_one_result_with_one_thread_and_with_all(size: int) -> None:
    before = threads()
    x = np.arange(size, dtype=np.float32)
    y = np.empty_like(x)
    increment(x, y)
    np.testing.assert_array_equal(y, x + 1)
    assert threads() == before


def test_an_error_leaves_the_threads_as_they_were() -> None:
    before = threads()
    with pytest.raises(ValueError):
        increment(np.ones(3), np.ones(4))
    assert threads() == before


@pytest.mark.parametrize(
    ("given", "blas"),
    [({"BICERIN_NUM_THREADS": "1"}, "1"), ({}, ""), ({"BICERIN_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "3"}, "3")],
)
def test_the_number_of_threads_is_for_blas_too(given: dict[str, str], blas: str) -> None:
    program = (
        "import os, bicerin; from bicerin.kernels import num_threads; "
        "print(os.environ.get('OPENBLAS_NUM_THREADS', ''), num_threads(), sep=',')"
    )
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    printed = subprocess.run(
        [sys.executable, "-c", program], env=inherited | given, capture_output=True, text=True, check=True
    ).stdout
    seen, threads = printed.strip().split(",")
    assert seen == blas
    assert threads == given.get("BICERIN_NUM_THREADS", str(len(os.sched_getaffinity(0))))
