"""Threads: each with its own net, and several with one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import caffe

pytestmark = pytest.mark.usefixtures("on_the_device")

ROUNDS = 30

CONVOLUTION = """
layer { type: "Input" name: "data" top: "data" input_param { shape { dim: 1 dim: 3 dim: 24 dim: 24 } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
  convolution_param { num_output: 16 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 1 } } }
layer { type: "ReLU" name: "relu" bottom: "conv" top: "conv" }
layer { type: "InnerProduct" name: "ip" bottom: "conv" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 1 } } }
"""


def images(seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal((1, 3, 24, 24), np.float32) for _ in range(ROUNDS)]


def test_two_threads_each_with_its_net(write: Any) -> None:
    path = write("net.prototxt", CONVOLUTION)
    nets = [caffe.Net(path, caffe.TEST) for _ in range(2)]
    expected = [[net.forward(data=x)["ip"].copy() for x in images(seed)] for seed, net in enumerate(nets)]
    barrier = Barrier(2)

    def run(seed: int) -> list[np.ndarray]:
        barrier.wait()
        return [nets[seed].forward(data=x)["ip"].copy() for x in images(seed)]

    with ThreadPoolExecutor(2) as pool:
        for found, wanted in zip(pool.map(run, range(2)), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


def test_threads_that_share_a_net_take_turns_and_get_results_of_their_own(write: Any) -> None:
    net = caffe.Net(write("net.prototxt", CONVOLUTION), caffe.TEST)
    expected = [[net.forward(data=x)["ip"].copy() for x in images(seed)] for seed in range(3)]
    barrier = Barrier(3)

    def run(seed: int) -> list[np.ndarray]:
        barrier.wait()
        return [net.forward(data=x)["ip"] for x in images(seed)]

    with ThreadPoolExecutor(3) as pool:
        for found, wanted in zip(pool.map(run, range(3)), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)
