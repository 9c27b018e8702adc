"""Whole nets in several processes and threads at once, with each library that Numba starts threads with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bicerin.kernels import WITH_PANELS

if not WITH_PANELS or not hasattr(os, "fork"):
    pytest.skip("kernels have no threads, or processes no fork here", allow_module_level=True)

PROGRAM = """
import logging
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np

import bicerin

NET = '''
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 8 dim: 16 dim: 24 dim: 24 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 32 kernel_size: 3 pad: 1 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "i" type: "InnerProduct" bottom: "p" top: "i"
  inner_product_param { num_output: 100 } }
'''


def run(seed):
    net = bicerin.Net(NET, "TEST")
    for name in ("c", "i"):
        weights = net.params[name][0].data
        weights[...] = np.random.default_rng(0).standard_normal(weights.shape) / 10
    net.blobs["x"].data[...] = np.random.default_rng(seed).standard_normal(net.blobs["x"].shape)
    for _ in range(3):
        net.forward()
    return np.array(net.blobs["i"].data)


def compare(results, expected):
    for result, right in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    expected = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        compare(threads.map(run, range(4)), expected)
    for method in sys.argv[1:]:
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as processes:
            compare(processes.map(run, range(4)), expected)
        print(method)
"""


@pytest.mark.parametrize("layer", ["omp", "tbb", "workqueue"])
def test_nets_run_in_processes_and_threads(layer: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    methods = ["fork", "spawn", "forkserver"]
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", *methods],
        env={**os.environ, "NUMBA_THREADING_LAYER": layer, "BICERIN_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"{layer} is not installed")
    # TBB prints of its own.
    assert [line for line in done.stdout.splitlines() if line in methods] == methods, done.stdout + done.stderr
