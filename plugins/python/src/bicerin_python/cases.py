"""The cases that prove the layer: for the tests, and for `bicerin plugins check bicerin-python`.

They run two classes as a user would write them: one with weights, and a loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.testing import layer_case
from bicerin_python.python_layer import PythonLayer


class Affine(PythonLayer):
    """y = x * weight + param_str, the weight (C,)."""

    def setup(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        self.blobs.add_blob(bottom[0].shape[1], filler={"type": "constant", "value": 3})

    def reshape(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        top[0].data[...] = bottom[0].data * self.blobs[0].data + float(self.param_str)

    def backward(self, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]) -> None:
        self.blobs[0].diff[...] += (top[0].diff * bottom[0].data).sum(axis=0)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * self.blobs[0].data


class HalfSquareLoss(PythonLayer):
    """Half the squared distance of two bottoms, a row."""

    def reshape(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        top[0].reshape(1)

    def forward(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        self.distance = bottom[0].data - bottom[1].data
        top[0].data[...] = (self.distance**2).sum() / (2 * max(bottom[0].num, 1))

    def backward(self, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]) -> None:
        for index, sign in ((0, 1), (1, -1)):
            if propagate_down[index]:
                bottom[index].diff[...] = sign * top[0].diff * self.distance / max(bottom[0].num, 1)


_PARAM = 'python_param { module: "bicerin_python.cases" layer:'

LEFT_TO_NUMPY = {"refusals": "the class leaves the shapes to NumPy"}

CASES = [
    layer_case(
        "weights",
        f'type: "Python" {_PARAM} "Affine" param_str: "0.5" }}',
        [np.array([[1.0, -2.0], [0.0, 4.0]])],
        parameters=[np.array([2.0, 0.25])],
        expected=[np.array([[2.5, 0.0], [0.5, 1.5]])],
        tops=1,
        without={
            **LEFT_TO_NUMPY,
            "in_place": "a class cannot refuse it, and this one needs its bottom in backward",
            "propagate_down": "a class is not told which of its weights learn",
        },
    ),
    layer_case(
        "loss",
        f'type: "Python" loss_weight: 2 {_PARAM} "HalfSquareLoss" }}',
        [(4, 3), (4, 3)],
        tops=1,
        without=LEFT_TO_NUMPY,
    ),
]
