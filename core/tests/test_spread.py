"""Units of work, spread over threads."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread

import numpy as np
import pytest

from bicerin.kernels import COMPILED, kernel, num_workers, part, piece, pieces, spread

if not COMPILED:
    pytest.skip("kernels are not compiled here", allow_module_level=True)


@part
def mark(unit, worker, seen, workers):  # type: ignore[no-untyped-def]
    seen[unit] += 1
    workers[unit] = worker


@kernel()
def mark_all(units, threads, seen, workers):  # type: ignore[no-untyped-def]
    spread(mark, units, threads, (seen, workers))


@part
def double_piece(unit, worker, x, y):  # type: ignore[no-untyped-def]
    x, y = piece(x, unit), piece(y, unit)
    for i in range(x.size):
        y[i] = 2 * x[i]


@kernel()
def double(x, y):  # type: ignore[no-untyped-def]
    spread(double_piece, pieces(x), num_workers(x.size), (x, y))


@part
def allocate(unit, worker, size):  # type: ignore[no-untyped-def]
    np.empty(size)[unit] = 1


@kernel()
def allocate_all(units, size):  # type: ignore[no-untyped-def]
    spread(allocate, units, 2, (size,))


@pytest.mark.parametrize("threads", [-1, 0, 1, 2, 1000])
@pytest.mark.parametrize("units", [-1, 0, 1, 2, 7, 63, 64, 65, 1000, 12345])
def test_each_unit_is_done_once(units: int, threads: int) -> None:
    seen, workers = np.zeros(max(units, 0), int), np.full(max(units, 0), -1)
    mark_all(units, threads, seen, workers)
    assert (seen == 1).all()
    assert ((workers >= 0) & (workers < max(threads, 1))).all()


@pytest.mark.parametrize("size", [0, 1, (1 << 14) - 1, 1 << 14, (1 << 14) + 1, 100_000])
def test_pieces_are_all_of_an_array(size: int) -> None:
    x = np.arange(size, dtype=np.float32)
    y = np.full_like(x, np.nan)
    double(x, y)
    np.testing.assert_array_equal(y, 2 * x)


@pytest.mark.parametrize("units", [1, 100])
def test_running_out_of_memory_is_an_error(units: int) -> None:
    allocate_all(units, 1000)
    with pytest.raises(MemoryError):
        allocate_all(units, 1 << 55)


ROUND = """
from threading import Thread
import sys
sys.path.insert(0, {folder!r})
import numba, numpy as np
from test_spread import double, run_from_threads
run_from_threads(double, 6, 200)
print(numba.threading_layer())
"""


def run_from_threads(function, callers: int, times: int) -> None:  # type: ignore[no-untyped-def]
    arrays = [np.arange(100_000, dtype=np.float32) + caller for caller in range(callers)]
    results = [np.empty_like(array) for array in arrays]

    def run(caller: int) -> None:
        for _ in range(times):
            function(arrays[caller], results[caller])

    threads = [Thread(target=run, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for array, result in zip(arrays, results, strict=True):
        np.testing.assert_array_equal(result, 2 * array)


def test_several_callers_at_once() -> None:
    run_from_threads(double, 6, 50)


def test_several_callers_at_once_without_openmp() -> None:
    """As on a machine that has nothing but Python: two callers of Numba's own threads would end the process."""
    done = subprocess.run(
        [sys.executable, "-c", ROUND.format(folder=os.path.dirname(__file__))],
        env={**os.environ, "NUMBA_THREADING_LAYER": "workqueue", "BICERIN_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip() == "workqueue", done.stderr


def test_how_threads_wait_is_not_said_to_others() -> None:
    """Other libraries of the process, and its children, wait as they always do."""
    program = "import os, bicerin.kernels; print(sorted({'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'} & set(os.environ)))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("started", [False, True])
def test_numba_was_there_before(started: bool) -> None:
    """With the threads that it has started, or else with as many as asked for."""
    before = "import numba, numpy as np\n"
    if started:
        before += "numba.njit(parallel=True)(lambda x: x + 1)(np.ones(9))\n"
    program = before + (
        "import sys\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from test_spread import double\n"
        "x = np.arange(100_000, dtype=np.float32)\n"
        "y = np.empty_like(x)\n"
        "double(x, y)\n"
        "print((y == 2 * x).all(), numba.get_num_threads(), numba.config.NUMBA_DEFAULT_NUM_THREADS)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment["BICERIN_NUM_THREADS"] = "1"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)
    equal, threads, default = done.stdout.split() or [done.stderr]
    assert (equal, threads) == ("True", default if started else "1")


def test_work_for_one_thread_takes_no_turn() -> None:
    """Else nobody would give it back, and with Numba's own threads all later work would be done alone."""
    program = (
        "import sys\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "import numpy as np\n"
        "from bicerin.kernels import threads\n"
        "from test_spread import double, mark_all\n"
        "mark_all(1, 1, np.zeros(1, int), np.zeros(1, int))\n"
        "double(np.ones(100_000), np.ones(100_000))\n"
        "print(list(threads._state)[:2])\n"
    )
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue", "BICERIN_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "[1, 0]", done.stderr
