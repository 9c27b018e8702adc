"""The module `test_gradient_for_python_layer`, as tutorials use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_gradient_for_python_layer import test_gradient_for_python_layer as check

pytestmark = pytest.mark.usefixtures("on_the_device")

LAYERS = """
import caffe

class Product(caffe.Layer):
    factor = 1
    def setup(self, bottom, top):
        self.scale = float(self.param_str or 1)
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)
    def forward(self, bottom, top):
        top[0].data[...] = self.scale * bottom[0].data * bottom[1].data
    def backward(self, top, propagate_down, bottom):
        for here, there in ((0, 1), (1, 0)):
            if propagate_down[here]:
                bottom[here].diff[...] = self.factor * self.scale * top[0].diff * bottom[there].data

class Wrong(Product):
    factor = 1.1
"""

INPUTS = [("x", np.random.default_rng(0).standard_normal((3, 4))), ("mask", np.ones((3, 4)))]


@pytest.fixture(autouse=True)
def layers(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("products_of_blobs.py", LAYERS)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_right_gradient_passes() -> None:
    assert check(INPUTS, ["y"], "products_of_blobs", "Product", "2.5", [True, False]) is True
    assert check(INPUTS, ["y"], "products_of_blobs", "Product") is True


def test_a_wrong_one_is_an_assertion_error() -> None:
    with pytest.raises(AssertionError):
        check(INPUTS, ["y"], "products_of_blobs", "Wrong", "2.5", [True, False])
