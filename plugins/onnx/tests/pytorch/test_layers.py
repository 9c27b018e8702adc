"""Every case of every layer with a form in PyTorch: written as a module, run there, compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bicerin.discovery.registry import Registry
from bicerin.errors import LayerError
from bicerin.layer.phase import Phase
from bicerin.testing.recorded import recorded_run
from bicerin.testing.run import LayerRun
from bicerin_onnx.comparison import compare_in_torch
from bicerin_onnx.hooks import hooks, torch_hooks

ROOT = Path(__file__).parents[4]
CASES = Registry("bicerin.cases", "table of cases")

#: Layers that have a form in ONNX but none in PyTorch, each with the reason.
WITHOUT = {
    "PSROIPooling": "torch alone has no pooling of regions",
    "Proposal": "its boxes are what a library of detection makes",
    "ROIPooling": "torch alone has no pooling of regions",
}
#: Part of a case's name -> what its refusal says.
REFUSED = {
    "stochastic": "PyTorch has no stochastic pooling",
    "im2col_one_axis": "F.unfold is for planes",
    "im2col_three_axes": "F.unfold is for planes",
    "im2col_axis_2": "F.unfold is for planes",
    "label_and_class_weights": "with class_weight",
    "SoftmaxWithLoss_happynear_classes": "with class_weight",
    "SoftmaxWithLoss_happynear_ignore": "with class_weight",
    "label_smoothing": "label_smoothing changes the gradient alone",
    "dropout_sampled_in_tests": "draws in eval",
    "DetectionOutput-refined": "first stage of RefineDet",
    "DetectionOutput-objectness": "first stage of RefineDet",
    "SmoothL1Loss-each": "choosing what to learn from",
    "average_without_padding_floor": "at most half a window",
    "CTCGreedyDecoder-accuracy": "an accuracy, which compares with targets",
    "LabelSpecificAdd-annealed": "a bias that grows",
    "CTCGreedyDecoder-all": "an accuracy, which compares with targets",
}
#: Case -> its tolerance, where 1e-5 is more than float32 gives, and why.
LOOSER: dict[str, float] = {}
#: Of these the phase of a recorded case changes the result.
OF_THE_PHASE = {"Dropout", "BatchNorm", "LabelSpecificAdd", "Pooling", "SPP"}


def layer_type(case: Any) -> str:
    found = re.search(r'type: "(\w+)"', case.definition)
    assert found is not None
    return found[1]


def run_in_test(case: Any) -> LayerRun:
    return replace(case, phase="TEST").run()


def cases() -> Iterator[Any]:
    """Of the installed packages, and those that Caffe computed, as far as their layers have a form."""
    for name in CASES.providers():
        for case in CASES.load(name):
            if layer_type(case) in torch_hooks and layer_type(case) not in ("Python", "Silence"):
                make = partial(run_in_test, case)
                yield pytest.param(make, id=f"{name}-{layer_type(case)}-{case}")
    for file in sorted(ROOT.glob("plugins/*/tests/recorded/*.npz")):
        yield pytest.param(lambda file=file: recorded_run(file)[0], id=f"{file.parts[-4]}-recorded-{file.stem}")


@pytest.mark.parametrize("make", list(cases()))
def test_a_case_is_the_same_in_pytorch(make: Callable[[], LayerRun], request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    run = make()
    layer = run.layer
    if layer.type not in torch_hooks or not run.top:
        pytest.skip("it has no form in PyTorch")
    if layer.phase is Phase.TRAIN and layer.type in OF_THE_PHASE:
        pytest.skip("recorded in TRAIN")
    refused = next((sentence for part, sentence in REFUSED.items() if part in name), None)
    if refused is not None:
        with pytest.raises(LayerError, match=refused):
            compare_in_torch(run)
        return
    assert max(compare_in_torch(run).differences) <= LOOSER.get(name, 1e-5)


def test_every_layer_that_is_exported_to_onnx_has_a_form_or_a_reason() -> None:
    assert set(hooks.providers()) - set(torch_hooks.providers()) == set(WITHOUT)
