"""Every case of every layer that means something in TEST: exported, checked by ONNX, run in ONNX Runtime, compared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bicerin.errors import LayerError
from bicerin.testing.run import LayerRun, run_layer
from bicerin_onnx import export_layer
from bicerin_onnx.comparison import compare
from bicerin_onnx.hooks import hooks

sys.path.insert(0, str(Path(__file__).parent))
from layer_cases import is_of_training, layer_cases

#: Layers without a value in TEST, or that are another's business, each with the reason.
WITHOUT = {
    "AnnotatedData": "makes the input",
    "BoxAnnotatorOHEM": "chooses what to learn from",
    "BoxData": "makes the input",
    "Data": "makes the input",
    "DenseImageData": "makes the input",
    "DetectNetTransformation": "makes the input",
    "DetectionEvaluate": "compares with labels: left out",
    "DummyData": "makes the input",
    "EvalDetection": "compares with labels: left out",
    "HDF5Data": "makes the input",
    "HDF5Output": "writes a file",
    "ImageData": "makes the input",
    "ImageLabelmapData": "makes the input",
    "ImageSegData": "makes the input",
    "LabelsequenceAccuracy": "compares with labels: left out",
    "MemoryData": "makes the input",
    "MultiStageMeanfield": "filters on a lattice of the picture's own, which ONNX has no word for",
    "ParseEvaluate": "compares with labels: left out",
    "Python": "says itself what it is: see test_nets.py",
    "SegAccuracy": "compares with labels: left out",
    "SegData": "makes the input",
    "Silence": "has no top",
    "VideoData": "makes the input",
    "WindowData": "makes the input",
}
#: Losses, and margins for labels, that no net that is run has.
MISSING = {
    "CtcLoss",
    "DetectionLoss",
    "DiceCoefLoss",
    "FocalLoss",
    "GeneralContrastiveLoss",
    "GeneralTripletLoss",
    "GlobalLSEMargin",
    "LargeMarginInnerProduct",
    "MarginInnerProduct",
    "MultiBoxLoss",
    "RegionLoss",
    "SmoothL1LossOHEM",
    "SoftmaxWithLossOHEM",
    "TripletLoss",
    "Yolov3",
}
#: Case -> what its refusal says.
REFUSED = {
    "activation-Dropout-dropout_sampled_in_tests": "draws anew",
    "face-LabelSpecificAdd-annealed": "which only training has",
    "face-LabelSpecificRescale-annealed": "which only training has",
    "face-LabelSpecificRescale-bias_fix": "which only training has",
    "face-LabelSpecificRescale-rescale_test": "scores depend on their labels",
    "ocr-CTCGreedyDecoder-accuracy": "an accuracy",
    "ocr-CTCGreedyDecoder-all": "an accuracy",
    "ssd-DetectionOutput-refined": "first stage of RefineDet",
    "ssd-DetectionOutput-objectness": "first stage of RefineDet",
    "ssd-DetectionOutput-ties": "eta",
    "video-NdPooling-four_axes": "more than runtimes of ONNX compute",
}
#: Case -> its tolerance, where 1e-5 is more than float32 gives, and why.
LOOSER: dict[str, float] = {}


@pytest.mark.parametrize("make", list(layer_cases()))
def test_a_case_is_the_same_in_onnx_runtime(make: Callable[[], LayerRun], request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    run = make()
    layer = run.layer
    if layer.type in WITHOUT:
        pytest.skip(WITHOUT[layer.type])
    if is_of_training(run):
        pytest.skip("recorded in TRAIN")
    if layer.type in MISSING:
        pytest.skip("not written yet")
    if name in REFUSED:
        with pytest.raises(LayerError, match=REFUSED[name]):
            compare(run)
        return
    assert max(compare(run).differences) <= LOOSER.get(name, 1e-5)


def test_the_exceptions_are_layers() -> None:
    from bicerin.layer.layer import layers

    assert set(WITHOUT) | MISSING <= set(layers.providers())


def test_every_layer_of_ours_is_exported_or_an_exception() -> None:
    from bicerin.layer.layer import layers

    without = {name for name in layers.providers() if name not in hooks and name not in {"Input", "Split"}}
    assert without - set(WITHOUT) == MISSING
    assert not MISSING & set(hooks.providers())


@pytest.mark.parametrize("opset", [13, 18, 21])
@pytest.mark.parametrize(
    "definition",
    [
        'type: "Reduction" reduction_param { operation: SUMSQ axis: 1 }',
        'type: "MVN"',
        'type: "Pooling" pooling_param { kernel_size: 3 stride: 2 pad: 1 pool: AVE }',
        'type: "Slice" top: "a" top: "b"',
        'type: "ArgMax" argmax_param { top_k: 2 }',
        'type: "Softmax"',
    ],
)
def test_other_versions_of_onnx(definition: str, opset: int) -> None:
    run = run_layer(definition, [np.random.default_rng(0).normal(size=(2, 4, 5, 6))], phase="TEST")
    assert export_layer(run.node, opset=opset).opset_import[0].version == opset
    assert max(compare(run, opset).differences) <= 1e-5


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("options", ["power: -1 shift: 0", "power: 0.5 shift: -2", "power: -3 shift: 2"])
def test_a_power_of_a_constant(options: str) -> None:
    """Infinite, not a number, or a number."""
    text = f'type: "Power" power_param {{ scale: 0 {options} }}'
    assert max(compare(run_layer(text, [np.ones((2, 3))], phase="TEST")).differences) <= 1e-6


def test_a_window_beyond_the_plane() -> None:
    """It has no greatest value and no place."""
    definition = 'type: "Pooling" pooling_param { kernel_h: 3 kernel_w: 1 stride_h: 4 stride_w: 6 }'
    run = run_layer(definition, [np.random.default_rng(0).normal(size=(1, 2, 5, 5))], tops=2, phase="TEST")
    assert max(compare(run).differences) <= 1e-5
    assert run.top[1].data[0, 0, 0, 1] == -1
