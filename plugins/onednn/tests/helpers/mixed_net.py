"""A net of layers that oneDNN computes and layers that it does not, in an order that has them hand layouts on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bicerin

HEAD = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 13 dim: 14 } } }'
NET = (
    HEAD
    + """
layer { name: "c1" type: "Convolution" bottom: "x" top: "c1" convolution_param {
  num_output: 20 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } bias_filler { type: "gaussian" } } }
layer { name: "b1" type: "BatchNorm" bottom: "c1" top: "b1" }
layer { name: "s1" type: "Scale" bottom: "b1" top: "s1" scale_param { bias_term: true filler { value: 1.5 } } }
layer { name: "r1" type: "ReLU" bottom: "s1" top: "s1" relu_param { negative_slope: 0.1 } }
layer { name: "p1" type: "Pooling" bottom: "s1" top: "p1" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "c2" type: "Convolution" bottom: "p1" top: "c2" convolution_param {
  num_output: 20 kernel_size: 1 weight_filler { type: "xavier" } bias_term: false } }
layer { name: "e" type: "Eltwise" bottom: "p1" bottom: "c2" top: "e" }
layer { name: "r2" type: "ReLU" bottom: "e" top: "e" }
layer { name: "dw" type: "Convolution" bottom: "e" top: "dw" convolution_param {
  num_output: 20 group: 20 kernel_size: 3 dilation: 2 pad: 2 weight_filler { type: "xavier" } } }
layer { name: "cat" type: "Concat" bottom: "dw" bottom: "e" top: "cat" }
layer { name: "n" type: "LRN" bottom: "cat" top: "n" }
layer { name: "d" type: "Dropout" bottom: "n" top: "n" }
layer { name: "m" type: "MVN" bottom: "n" top: "m" }
layer { name: "fc" type: "InnerProduct" bottom: "m" top: "fc" inner_product_param {
  num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
)


def make(engine: str, monkeypatch: pytest.MonkeyPatch, text: str = NET, **options: Any) -> bicerin.Net:
    monkeypatch.setenv("BICERIN_ENGINE", engine)
    net = bicerin.Net(text, "TEST", seed=3, **options)
    random = np.random.default_rng(4)
    for blobs in (net.params[name] for name in net.params):
        for blob in blobs:
            if not blob.data.any():
                blob.data[...] = random.uniform(0.5, 1.5, blob.shape)
    return net


def image(batch: int = 2) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(batch, 3, 13, 14)).astype(np.float32)
