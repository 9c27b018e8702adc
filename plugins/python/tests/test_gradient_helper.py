"""`test_gradient_for_python_layer`: passes what is right, refuses what is wrong."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from bicerin.testing import test_gradient_for_python_layer

MODULE = dedent(
    """
    import json
    import caffe_like as caffe


    class WeightedSquare(caffe.Layer):
        def setup(self, bottom, top):
            self.factor = json.loads(self.param_str)["factor"]
            self.wrong = json.loads(self.param_str).get("wrong", 1)

        def reshape(self, bottom, top):
            top[0].reshape(*bottom[0].data.shape)
            top[1].reshape(1)

        def forward(self, bottom, top):
            top[0].data[...] = self.factor * bottom[0].data ** 2 * bottom[1].data
            top[1].data[...] = bottom[1].data.sum()

        def backward(self, top, propagate_down, bottom):
            if propagate_down[0]:
                bottom[0].diff[...] = 2 * self.wrong * self.factor * bottom[0].data * bottom[1].data * top[0].diff
            if propagate_down[1]:
                bottom[1].diff[...] = self.factor * bottom[0].data ** 2 * top[0].diff + top[1].diff
    """
)


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "caffe_like.py").write_text("from bicerin_python import PythonLayer as Layer\n")
    (tmp_path / "weighted_square.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def check(param_str: str = '{"factor": 3}', propagate_down: tuple[bool, ...] = (True, True)) -> None:
    random = np.random.default_rng(2)
    inputs = [("x", random.normal(size=(2, 3))), ("weight", random.normal(size=(2, 3)))]
    test_gradient_for_python_layer(
        inputs, ["square", "sum"], "weighted_square", "WeightedSquare", param_str, list(propagate_down)
    )


@pytest.mark.parametrize("propagate_down", [(True, True), (True, False), (False, True), (False, False)])
def test_what_is_right_passes(propagate_down: tuple[bool, ...]) -> None:
    check(propagate_down=propagate_down)


def test_what_is_wrong_is_named() -> None:
    wrong = '{"factor": 3, "wrong": 1.01}'
    with pytest.raises(AssertionError, match=r"Python: gradient of bottom 0 at \(0, 0\): .* by backward, .* by diff"):
        check(wrong)
    check(wrong, (False, True))


def test_a_flag_for_each_input() -> None:
    with pytest.raises(ValueError, match="1 flags for 2 inputs"):
        check(propagate_down=(True,))
