"""BatchNorm with a rectifier of its own, of Intel's fork, beside a ReLU after it."""

from __future__ import annotations

import numpy as np
import pytest

import bicerin


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(4, 3, 2, 2))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("options", ["", 'filler { type: "uniform" min: 1 max: 2 } bias_filler { value: 0.3 }'])
def test_a_rectifier_is_that_of_a_layer_of_its_own(options: str, phase: str, in_place: bool) -> None:
    text = f"""force_backward: true
        layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 4 dim: 3 dim: 2 dim: 2 }} }} }}
        layer {{ name: "bn" type: "BatchNorm" bottom: "x" top: "{"x" if in_place else "y"}"
                 batch_norm_param {{ {options} %s }} }} """
    relu = f'layer {{ name: "r" type: "ReLU" bottom: "{"x" if in_place else "y"}" top: "z" }}'
    results = []
    for net_text in (text % "relu: true", text % "" + relu):
        net = bicerin.Net(net_text, phase, dtype=np.float64, seed=4)
        y = net.outputs[0]
        forward = net.forward(x=values(0))[y].copy()
        net.blobs[y].diff[...] = values(7)
        net.run_backward()
        scales = [blob.diff.copy() for blob in net.params["bn"][3:]]
        results.append([forward, net.blobs["x"].diff.copy(), *scales])
    assert len(results[0]) == (4 if options else 2)
    for fused, separate in zip(*results, strict=True):
        assert fused == pytest.approx(separate)
