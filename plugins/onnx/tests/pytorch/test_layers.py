"""Every case of every layer with a form in PyTorch: written as a module, run there, compared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bicerin.errors import LayerError
from bicerin.testing import run_layer
from bicerin.testing.run import LayerRun
from bicerin_onnx.comparison import compare_in_torch
from bicerin_onnx.hooks import hooks, torch_hooks

sys.path.insert(0, str(Path(__file__).parents[1]))
from layer_cases import is_of_training, layer_cases

#: Layers that have a form in ONNX but none in PyTorch, each with the reason.
WITHOUT = {
    "DeformablePSROIPooling": "torch alone has no pooling of regions",
    "PSROIAlign": "torch alone has no pooling of regions",
    "PSROIPooling": "torch alone has no pooling of regions",
    "Proposal": "its boxes are what a library of detection makes",
    "ROIAlign": "torch alone has no pooling of regions",
    "ROIPooling": "torch alone has no pooling of regions",
}
#: Layers that say themselves what they are, or are left out of a module.
LEFT_OUT = {
    "DetectionEvaluate",
    "EvalDetection",
    "LabelsequenceAccuracy",
    "ParseEvaluate",
    "Python",
    "SegAccuracy",
    "Silence",
}
#: Part of a case's name -> what its refusal says.
REFUSED = {
    "stochastic": "PyTorch has no stochastic pooling",
    "im2col_one_axis": "F.unfold is for planes",
    "im2col_three_axes": "F.unfold is for planes",
    "im2col_axis_2": "F.unfold is for planes",
    "dropout_sampled_in_tests": "draws in eval",
    "DetectionOutput-refined": "first stage of RefineDet",
    "DetectionOutput-objectness": "first stage of RefineDet",
    "SmoothL1Loss-each": "choosing what to learn from",
    "average_without_padding_floor": "at most half a window",
    "CTCGreedyDecoder-accuracy": "an accuracy, which compares with targets",
    "LabelSpecificAdd-annealed": "a bias that grows",
    "LabelSpecificRescale-annealed": "a weight that changes",
    "LabelSpecificRescale-bias_fix": "a weight that changes",
    "NdPooling-four_axes": "pools over 3 axes at most",
    "Unpooling-tile": "the gradient of TILE is the mean",
    "Unpooling_tile": "the gradient of TILE is the mean",
    "sparsify_set": "coef pulls in the gradient alone",
    "CTCGreedyDecoder-all": "an accuracy, which compares with targets",
}
#: Case -> its tolerance, where 1e-5 is more than float32 gives, and why.
LOOSER: dict[str, float] = {}


@pytest.mark.parametrize("make", list(layer_cases(lambda kind: kind in torch_hooks and kind not in LEFT_OUT)))
def test_a_case_is_the_same_in_pytorch(make: Callable[[], LayerRun], request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    run = make()
    layer = run.layer
    if layer.type not in torch_hooks or layer.type in LEFT_OUT or not run.top:
        pytest.skip("it has no form in PyTorch")
    if is_of_training(run):
        pytest.skip("recorded in TRAIN")
    refused = next((sentence for part, sentence in REFUSED.items() if part in name), None)
    if refused is not None:
        with pytest.raises(LayerError, match=refused):
            compare_in_torch(run)
        return
    assert max(compare_in_torch(run).differences) <= LOOSER.get(name, 1e-5)


@pytest.mark.parametrize("options", ["power: -1 shift: 0", "power: 0.5 shift: -2", "power: -3 shift: 2"])
def test_a_power_of_a_constant(options: str) -> None:
    """Infinite, not a number, or a number."""
    text = f'type: "Power" power_param {{ scale: 0 {options} }}'
    assert max(compare_in_torch(run_layer(text, [np.ones((2, 3))], phase="TEST")).differences) <= 1e-6


def test_every_layer_that_is_exported_to_onnx_has_a_form_or_a_reason() -> None:
    assert set(hooks.providers()) - set(torch_hooks.providers()) == set(WITHOUT)
