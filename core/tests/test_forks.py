"""Kernels in processes that were forked, by a process with and without threads that run kernels at the moment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bicerin.kernels import WITH_PANELS

if not WITH_PANELS or not hasattr(os, "fork"):
    pytest.skip("kernels have no threads, or processes no fork here", allow_module_level=True)

PROGRAM = """
import logging, os, sys
from threading import Thread
logging.basicConfig(format="LOG %(message)s", level=logging.INFO)
sys.path.insert(0, {folder!r})
import numba
import numpy as np
from bicerin.kernels import workers_for
from test_spread import double, mark_all

x = np.arange(100_000, dtype=np.float32)
stop = False

def run(times=20):
    y = np.empty_like(x)
    for _ in range(times):
        double(x, y)
        assert (y == 2 * x).all()

def run_on():
    while not stop:
        run(1)

def in_thread(function):
    thread = Thread(target=function)
    thread.start()
    thread.join()

def fork(function):
    child = os.fork()
    if not child:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def child():
    run()
    in_thread(run)
    seen, workers = np.zeros(100, int), np.full(100, -1)
    mark_all(100, 2, seen, workers)
    assert (seen == 1).all() and (workers == 0).all(), workers
    assert workers_for(1 << 30) == 1
    fork(run)

run()
fork(child)
run()
in_thread(lambda: fork(child))
busy = [Thread(target=run_on) for _ in range(3)]
for thread in busy:
    thread.start()
for _ in range(5):
    fork(child)
stop = True
for thread in busy:
    thread.join()
print(numba.threading_layer(), workers_for(1 << 30))
"""


@pytest.mark.parametrize("layer", ["omp", "tbb", "workqueue"])
def test_forked_processes_run_kernels(layer: str) -> None:
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "BICERIN_NUM_THREADS": "2"}
    program = PROGRAM.format(folder=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"{layer} is not installed")
    assert f"{layer} 2" in done.stdout.splitlines(), done.stdout + done.stderr  # TBB prints lines of its own, too
    said = [line for line in done.stderr.splitlines() if line.startswith("LOG kernels run on one thread")]
    assert len(said) == 7 and all("spawn or forkserver" in line for line in said)
