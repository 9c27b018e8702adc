"""Kernels, compiled or not."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bicerin.kernels import PIECE, choices, compiled, kernel, num_workers, part, piece, pieces, spread
from bicerin.kernels.compiled import num_threads


def increment_reference(x: np.ndarray, y: np.ndarray) -> None:
    if x.size != y.size:
        raise ValueError
    y[...] = x + 1


@kernel(reference=increment_reference)
def increment(x: np.ndarray, y: np.ndarray) -> None:
    if x.size != y.size:
        raise ValueError
    for i in range(x.size):
        y[i] = x[i] + 1


@part
def increment_piece(unit: int, worker: int, x: np.ndarray, y: np.ndarray) -> None:
    x, y = piece(x, unit), piece(y, unit)
    for i in range(x.size):
        y[i] = x[i] + 1


@kernel(reference=increment_reference)
def increment_pieces(x: np.ndarray, y: np.ndarray) -> None:
    if x.size != y.size:
        raise ValueError
    spread(increment_piece, pieces(x), num_workers(x.size), (x, y))


@pytest.mark.parametrize("run", [increment, increment_pieces])
@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 100 * PIECE - 1])
def test_one_result_with_one_thread_and_with_all(run: Callable[..., None], size: int) -> None:
    x = np.arange(size, dtype=np.float32)
    y = np.empty_like(x)
    run(x, y)
    np.testing.assert_array_equal(y, x + 1)


@pytest.mark.parametrize("run", [increment, increment_pieces])
def test_errors_are_raised(run: Callable[..., None]) -> None:
    with pytest.raises(ValueError):
        run(np.ones(3), np.ones(4))


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


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BICERIN_KERNELS", "off", 'it must be "reference"'),
        ("BICERIN_KERNELS", "Reference", ""),
        ("BICERIN_NUM_THREADS", "0", "a whole number, 1 or more"),
        ("BICERIN_NUM_THREADS", "two", "a whole number, 1 or more"),
        ("BICERIN_NUM_THREADS", "2", ""),
    ],
)
def test_invalid_settings_are_named(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, value)
    compiled._warn_of_invalid_settings()
    assert said in caplog.text
    assert bool(said) == bool(caplog.text)


def test_of_processes_that_choose_at_once_all_take_what_the_first_has_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = tmp_path / "choices.json"
    monkeypatch.setenv("BICERIN_CHOICES", str(kept))
    monkeypatch.setattr(choices, "_chosen", {})
    key = f"{choices.processor()}, {num_threads()} threads: what: fast or slow"

    def fast() -> None:
        """Meanwhile another process finds that the other way is faster."""
        kept.write_text(json.dumps({key: "slow", "other": "one"}))

    ways = {"fast": fast, "slow": lambda: time.sleep(0.01)}
    assert choices.choice("what", ways) == "slow"
    assert choices.choice("else", {"only": lambda: None}) == "only"
    assert set(json.loads(kept.read_text()).values()) == {"slow", "one"}


def test_a_way_that_is_new_is_measured_beside_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BICERIN_CHOICES", str(tmp_path / "choices.json"))
    monkeypatch.setattr(choices, "_chosen", {})
    ways = {"slow": lambda: time.sleep(0.01), "slower": lambda: time.sleep(0.02)}
    assert choices.choice("what", ways) == "slow"
    assert choices.choice("what", {**ways, "fast": lambda: None}) == "fast"
    assert choices.choice("what", ways) == "slow"


def test_what_a_way_costs_elsewhere_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BICERIN_CHOICES", str(tmp_path / "choices.json"))
    monkeypatch.setattr(choices, "_chosen", {})
    ways = {"fast": lambda: None, "slow": lambda: time.sleep(0.01)}
    asked = []

    def elsewhere() -> float:
        asked.append(1)
        return 1.0

    assert choices.choice("what", ways, {"fast": elsewhere}) == "slow"
    assert choices.choice("what", ways, {"fast": elsewhere}) == "slow"
    assert len(asked) == 1
    assert choices.choice("else", ways, factors={"fast": 1e9}) == "slow"
