"""In place on what another layer's backward pass reads: a warning where the gradient is wrong, and only there."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import bicerin

FIRST = {
    "ReLU": "", "Leaky": 'type: "ReLU" relu_param { negative_slope: 0.1 }', "ReLU6": "", "Sigmoid": "", "TanH": "",
    "Exp": "", "ELU": "", "Swish": "", "MVN": "", "Softmax": "", "BNLL": "", "PReLU": "", "BatchNorm": "", "LRN": "",
    "Square": 'type: "Power" power_param { power: 2 shift: 2 }', "Scale": "scale_param { filler { value: -2 } }",
    "Dropout": "dropout_param { dropout_ratio: 0.5 }", "Clip": "clip_param { min: -0.4 max: 0.4 }",
}  # fmt: skip
SECOND = {
    "ReLU": "", "Power": "power_param { scale: -3 shift: 1 }", "Scale": "scale_param { filler { value: -2 } }",
    "Bias": "bias_param { filler { value: 1 } }", "Sigmoid": "", "TanH": "", "ELU": "", "PReLU": "", "BatchNorm": "",
    "Dropout": "dropout_param { dropout_ratio: 0.5 }", "Clip": "clip_param { min: -0.4 max: 0.4 }",
}  # fmt: skip

NET = """
force_backward: true
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 4 dim: 4 dim: 4 }} }} }}
layer {{ name: "c" type: "Convolution" bottom: "x" top: "y"
  convolution_param {{ num_output: 4 kernel_size: 1 weight_filler {{ type: "gaussian" std: 0.7 }} }} }}
layer {{ name: "a" bottom: "y" top: "{a}" {first} }}
layer {{ name: "b" bottom: "{a}" top: "{b}" {second} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "{b}" top: "q"
  inner_product_param {{ num_output: 1 axis: 0 weight_filler {{ type: "gaussian" std: 1 }} }} }}
layer {{ name: "l" type: "Reduction" bottom: "q" top: "l" loss_weight: 1 }}
"""


def typed(name: str, text: str) -> str:
    return text if text.startswith("type") else f'type: "{name}" {text}'


def gradient(first: str, second: str, a: str, b: str) -> np.ndarray:
    net = bicerin.Net(NET.format(a=a, b=b, first=first, second=second), "TRAIN", seed=1)
    net.blobs["x"].data[...] = np.random.default_rng(1).normal(size=(2, 4, 4, 4))
    net.run_forward()
    net.run_backward()
    return net.blobs["x"].diff.copy()


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("name", FIRST)
def test_a_wrong_gradient_is_warned_of(name: str, in_place: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The gradient of the net whose layers have tops of their own is right; where it differs, there is a warning."""
    pytest.importorskip("bicerin_mobile")
    first = typed(name, FIRST[name])
    if name == "LRN" and in_place:
        pytest.skip("LRN refuses to work in place")
    for other, text in SECOND.items():
        second, z = typed(other, text), "y" if in_place else "z"
        caplog.clear()
        right = gradient(first, second, "z", "w")
        assert not caplog.records
        found = gradient(first, second, z, z)
        said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
        wrong = abs(found - right).max() > 1e-3 * abs(right).max()
        if wrong:
            assert len(said) == 1 and f'layer "b" ({other}) overwrites in place' in said[0], other
            assert 'of layer "a"' in said[0]
        elif other in ("ReLU", "Dropout", "Clip") and name not in ("Softmax", "MVN", "ReLU6"):
            assert not said, other


def test_nothing_is_said_where_no_gradient_is_computed(caplog: pytest.LogCaptureFixture) -> None:
    text = NET.format(a="z", b="z", first='type: "Sigmoid"', second=typed("Power", SECOND["Power"]))
    bicerin.Net(text.replace("force_backward: true", ""), "TEST")
    assert not caplog.records
    bicerin.Net(text.replace("force_backward: true", ""), "TRAIN")
    assert "overwrites in place" in caplog.text
