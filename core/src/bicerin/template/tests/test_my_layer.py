"""MyLayer: the conformance suite, and what is particular to it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import pytest
from my_plugin.cases import CASES

import bicerin
import bicerin_proto
from bicerin.testing import LayerConformance, assert_close

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "shrink" type: "MyLayer" bottom: "data" top: "shrink" my_layer_param { threshold: 2 } }
"""


class TestMyLayer(LayerConformance):
    cases = CASES


def test_in_place(run_layer: Callable[..., Any]) -> None:
    x = np.array([[-3.0, 0.25, 2.5]])
    run = run_layer('type: "MyLayer"', [x], parameters=[np.array([1.0, 1.0, 2.0])], in_place=True)
    run.forward()
    assert_close(run.top[0].read_only.data, np.array([[-2.5, 0.0, 4.0]]), 1e-6, "top")
    run.top[0].diff[...] = 1
    run.backward()
    assert_close(run.bottom[0].read_only.diff, np.array([[1.0, 0.0, 2.0]]), 1e-6, "gradient")


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ("threshold: -1", (2, 3), "threshold must be 0 or more, not -1"),
        ("", (3,), "must have a channel axis"),
    ],
)
def test_errors(run_layer: Callable[..., Any], options: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(bicerin.LayerError, match=message):
        run_layer(f'type: "MyLayer" my_layer_param {{ {options} }}', [np.ones(shape)])


def test_another_number_of_channels(run_layer: Callable[..., Any]) -> None:
    run = run_layer('type: "MyLayer"', [np.ones((2, 3))])
    run.bottom[0].reshape(2, 4)
    with pytest.raises(bicerin.ShapeError, match="weights for 3 channels"):
        run.forward()


def test_in_a_net(device: str) -> None:
    net = bicerin.Net(NET, device=device)
    outputs = net.forward(data=[[-5.0, 1.0]])
    assert_close(outputs["shrink"], np.array([[-3.0, 0.0]]), 1e-6, "shrink")


def test_the_compiled_schema_is_current() -> None:
    with as_file(files("my_plugin") / "my_layer.proto") as proto:
        assert bicerin_proto.check_current(proto), "run: bicerin plugins proto src/my_plugin/my_layer.proto"
