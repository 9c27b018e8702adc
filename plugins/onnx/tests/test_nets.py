"""Whole nets, blob by blob at two batch sizes: names, sizes, folding, what is left out."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import bicerin_proto
from bicerin import Net
from bicerin.errors import DataError, LayerError, NetError
from bicerin_onnx import VerificationError, export, verification, verify
from bicerin_onnx.pytorch import export as pytorch_export
from bicerin_onnx.quantization import quantize
from bicerin_onnx.session import session

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "bench"), str(Path(__file__).parent)]
import models  # noqa: E402
from onnx_nets import CAPTIONS, DETECTOR, FCN, RCNN, SEGNET, WORDS, give_statistics  # noqa: E402

RECORDED = ROOT / "tests" / "recorded" / "models"


def recorded(name: str) -> Net:
    return Net(RECORDED / f"{name}.prototxt", "TEST", weights=RECORDED / f"{name}.caffemodel")


def dims(info: Any) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]


def net(text: str, **options: Any) -> Net:
    data = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 10 } } }'
    return Net(data + text, "TEST", seed=3, **options)


CONVOLUTION = (
    'layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}" convolution_param {{ num_output: 4 '
    'kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} bias_filler {{ value: 0.1 }} }} }}'
)
NORM = (
    'layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" } layer { name: "scale" type: "Scale" '
    'bottom: "conv" top: "conv" scale_param { bias_term: true filler { type: "uniform" min: 1 max: 2 } bias_filler { '
    'type: "gaussian" std: 1 } } } layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }'
)


@pytest.mark.parametrize("fold", [True, False], ids=["folded", "whole"])
@pytest.mark.parametrize("name", ["lenet", "det1", "det2"])
def test_trained_nets(name: str, fold: bool) -> None:
    built = recorded(name)
    model = export(built, fold=fold)
    verification = verify(built, model)
    assert {row.batch for row in verification.rows} == {1, 3}
    assert verification.worst[0].difference < 2e-5
    if not fold:
        made = {name for node in built.nodes if node.type not in ("Input", "Split") for name in node.top_names}
        assert made <= {row.blob for row in verification.rows}


def test_a_detector() -> None:
    built = Net(DETECTOR, "TEST", seed=1)
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3, 32, 32]
    assert dims(model.graph.output[0]) == [1, 1, "K", 7]
    found = {row.batch: row.shape for row in verify(built, model, tolerance=1e-5).rows if row.blob == "found"}
    assert found[3][2] > 3, "nothing was found"


def test_a_detector_that_finds_nothing() -> None:
    built = Net(DETECTOR.replace("confidence_threshold: 0.3", "confidence_threshold: 1.5"), "TEST", seed=1)
    model = export(built)
    found = {row.batch: row.shape for row in verify(built, model, tolerance=1e-5).rows if row.blob == "found"}
    assert found == {1: (1, 1, 1, 7), 3: (1, 1, 3, 7)}


def test_faster_rcnn() -> None:
    built = Net(RCNN, "TEST", seed=1)
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    outputs = {info.name: dims(info) for info in model.graph.output}
    assert outputs["prob"][1:] == [4] and isinstance(outputs["prob"][0], str)
    for height, width in ((48, 80), (100, 70), (64, 96)):
        x = np.random.default_rng(height).normal(size=(1, 3, height, width))
        verify(built, model, {"data": x, "im_info": [[height, width, 1.5]]}, tolerance=1e-4)
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(1, 3, 64, 96))
        inputs = {"data": x, "im_info": [[64, 96, 1.5]]}
        rows = verify(built, model, inputs, tolerance=1e-4).rows
        assert {row.blob: row.shape for row in rows}["rois"][0] > 3


def test_pooling_and_unpooling_by_a_mask() -> None:
    built = Net(SEGNET, "TEST", seed=1)
    model = export(built)
    assert dims(model.graph.input[0])[2:] == ["H", "W"]
    verify(built, model, tolerance=1e-5)
    for height, width in ((8, 10), (20, 6)):
        x = np.random.default_rng(height).normal(size=(1, 3, height, width))
        verify(built, model, {"data": x}, tolerance=1e-5)


def with_other_choices(model: Any, step: float) -> Any:
    """The model, whose mask is other places, by so many."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    index, maker = next((i, node) for i, node in enumerate(changed.graph.node) if "mask" in node.output)
    maker.output[list(maker.output).index("mask")] = "own"
    changed.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(step), "step"))
    changed.graph.node.insert(index + 1, onnx.helper.make_node("Add", ["own", "step"], ["mask"]))
    return changed


def test_choices_among_equals_are_compared_by_what_they_pick() -> None:
    """The net goes on with the model's, so that what comes after is compared too."""
    text = SEGNET.replace('top: "conv" convolution_param', 'top: "unused" convolution_param')
    text = text.replace('bottom: "conv" top: "pool"', 'bottom: "data" top: "pool"')
    built = Net(text, "TEST", seed=1)
    model = export(built, end="class")
    x = np.random.default_rng(0).normal(size=(1, 3, 12, 8)).repeat(2, axis=3)  # each window has two that are largest
    verify(built, model, {"data": x}, tolerance=1e-6)
    verification = verify(built, with_other_choices(model, 1), {"data": x}, tolerance=1e-6)
    assert {row.blob: row.others for row in verification.rows} == {"pool": 0, "mask": 144, "up": 0, "class": 0}
    assert '"mask": 144 of 144 choices are others, compared by the values that they pick' in str(verification)
    # Places outside of the window, though the values are equal everywhere; and places that are none.
    for step, inputs in ((2, np.ones((1, 3, 12, 16))), (0.5, x)):
        with pytest.raises(VerificationError, match=r'first in layer "pool".*blob "mask" by inf of its size'):
            verify(built, with_other_choices(model, step), {"data": inputs})


def test_scores_of_three_strides_brought_together() -> None:
    built = Net(FCN, "TEST", seed=1)
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    verify(built, model, tolerance=1e-5)
    for height, width in ((50, 41), (64, 64)):
        x = np.random.default_rng(height).normal(size=(1, 3, height, width))
        verify(built, model, {"data": x}, tolerance=1e-5)


def test_sequences() -> None:
    built = Net(WORDS, "TEST", seed=1)
    model = export(built)
    assert {info.name: dims(info) for info in model.graph.input} == {"words": [5, "N"], "cont": [5, "N"]}
    recurrent = [tensor for tensor in model.graph.initializer if tuple(tensor.dims) == (4, 16)]
    assert len(recurrent) == 1, "one for all steps"
    random = np.random.default_rng(0)
    for streams in (1, 3):
        cont = random.integers(0, 2, (5, streams))
        verify(built, model, {"words": random.integers(0, 7, (5, streams)), "cont": cont}, tolerance=1e-5)


def test_an_input_that_is_the_same_at_every_step(caplog: pytest.LogCaptureFixture) -> None:
    built = Net(CAPTIONS, "TEST", seed=1)
    with caplog.at_level(logging.INFO, "bicerin.onnx"):
        model = export(built)
    assert [dims(info) for info in model.graph.input] == [[5, "N"], [5, "N"], ["N", 3]]
    assert "batch size stays" not in caplog.text
    random = np.random.default_rng(0)
    for streams in (1, 3):
        inputs = {"words": random.integers(0, 7, (5, streams)), "cont": random.integers(0, 2, (5, streams))}
        verify(built, model, {**inputs, "image": random.normal(size=(streams, 3))}, tolerance=1e-5)


@pytest.mark.parametrize(("kind", "param"), [("PSROIPooling", "psroi_pooling"), ("PSROIAlign", "psroi_align")])
def test_regions_as_an_input(kind: str, param: str) -> None:
    text = (
        'layer { name: "rois" type: "Input" top: "rois" input_param { shape { dim: 4 dim: 5 } } } '
        f'layer {{ name: "pool" type: "{kind}" bottom: "score" bottom: "rois" top: "pool" {param}_param {{ '
        "output_dim: 1 group_size: 2 spatial_scale: 1 } }"
    )
    built = net(CONVOLUTION.format("score", "data") + text)
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    assert dims(model.graph.input[1]) == ["R", 5]
    rois = [[0, 0, 0, 6, 5], [1, 2, 1, 9, 7], [0, 3, 3, 3, 3]]
    for height, width in ((8, 10), (9, 6)):
        x = np.random.default_rng(height).normal(size=(2, 3, height, width))
        verify(built, model, {"data": x, "rois": rois}, tolerance=1e-5)


def test_peaks_of_maps_of_any_size() -> None:
    built = net(
        'layer { name: "nms" type: "Nms" bottom: "data" top: "peaks" nms_param { threshold: -1 '
        "max_peaks: 4 num_parts: 2 } }"
    )
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    # Whole numbers, so that neighbours are equal; a border that is higher than what it surrounds; no room for a peak.
    for height, width in ((9, 12), (17, 5), (2, 7), (1, 1)):
        x = np.random.default_rng(height).integers(-3, 6, (2, 3, height, width))
        verify(built, model, {"data": x}, tolerance=1e-5)


@pytest.mark.parametrize("name", ["googlenet", "resnet50"])
def test_large_nets(name: str) -> None:
    built = Net(models.prototxt(name, 1, False), "TEST", seed=1)
    give_statistics(built)
    model = export(built)
    if name == "resnet50":
        assert not {"BatchNormalization", "Mul"} & {node.op_type for node in model.graph.node}
    # Random weights let small differences grow with each layer, ours against a sum in another order.
    assert verify(built, model, batches=(1, 2)).worst[0].difference < 1e-4


def test_names_and_sizes() -> None:
    model = export(net(CONVOLUTION.format("conv", "data") + NORM), fold=False)
    made = [output for node in model.graph.node for output in node.output]
    # The last version keeps the name of the blob, the others have their layers'; one of those is taken.
    assert made == ["conv/Convolution", "bn", "scale/Mul", "scale", "conv"]
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    assert dims(model.graph.output[0]) == ["N", 4, "H", "W"]
    infos = {info.name for info in model.graph.value_info}
    assert {"conv/Convolution", "bn", "scale"} <= infos
    assert {tensor.name for tensor in model.graph.initializer} >= {"conv/0", "conv/1"}


def test_folding_changes_nothing_but_the_number_of_operations() -> None:
    built = net(CONVOLUTION.format("conv", "data") + NORM)
    for blob in built.params["bn"]:
        blob.data[...] = np.random.default_rng(2).uniform(1, 2, blob.shape)
    model = export(built)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    verify(built, model, tolerance=1e-5)


def test_a_net_that_ran_as_a_whole_before() -> None:
    """In a whole pass, a layer does the work of those after it."""
    built = net(CONVOLUTION.format("conv", "data") + NORM)
    built.forward(data=np.random.default_rng(0).normal(size=(2, 3, 8, 10)))
    verify(built, export(built, fold=False), tolerance=1e-5)


def test_what_is_read_twice_is_not_folded() -> None:
    text = CONVOLUTION.format("conv", "data") + (
        'layer { name: "scaled" type: "Scale" bottom: "conv" top: "scaled" scale_param { filler { value: 2 } } } '
        'layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "scaled" top: "sum" }'
    )
    built = net(text)
    model = export(built)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Mul", "Add"]
    verify(built, model, tolerance=1e-5)


def test_groups_of_a_deconvolution_are_folded_in_their_order() -> None:
    text = (
        'layer { name: "conv" type: "Deconvolution" bottom: "data" top: "conv" convolution_param { num_output: 6 '
        'group: 3 kernel_size: 2 stride: 2 weight_filler { type: "gaussian" std: 1 } } }' + NORM
    )
    built = net(text)
    model = export(built)
    assert [node.op_type for node in model.graph.node] == ["ConvTranspose", "Relu"]
    verify(built, model, tolerance=1e-5)


def test_a_size_that_is_baked_in_is_said(caplog: pytest.LogCaptureFixture) -> None:
    text = (
        'layer { name: "flat" type: "Reshape" bottom: "data" top: "flat" reshape_param { shape { dim: 2 dim: 240 } } }'
    )
    with caplog.at_level(logging.INFO, "bicerin.onnx"):
        model = export(net(text))
    assert dims(model.graph.input[0]) == [2, 3, 8, 10]
    assert 'layer "flat"' in caplog.text and "the batch size stays 2" in caplog.text


@pytest.mark.parametrize(
    "window", ["kernel_size: 3 stride: 2", "kernel_size: 3 stride: 2 pad: 1", "kernel_size: 2 stride: 2"]
)
def test_average_pooling_over_the_edge_at_any_size(window: str) -> None:
    layer = 'layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param {{ pool: AVE {} }} }}'
    built = net(layer.format(window))
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    for height, width in ((8, 10), (9, 11), (12, 7), (13, 8), (6, 5)):
        x = np.random.default_rng(height).normal(size=(1, 3, height, width))
        verify(built, model, {"data": x}, tolerance=1e-5)
    # Where all sizes are fixed, the areas are a constant.
    assert "Expand" not in {node.op_type for node in export(built, dynamic=False).graph.node}


def test_a_window_that_depends_on_the_size_fixes_it(caplog: pytest.LogCaptureFixture) -> None:
    text = 'layer { name: "pool" type: "SPP" bottom: "data" top: "pool" spp_param { pyramid_height: 2 } }'
    with caplog.at_level(logging.INFO, "bicerin.onnx"):
        built = net(text)
        model = export(built)
    assert dims(model.graph.input[0])[2:] == [8, 10]
    assert 'the height stays 8: layer "pool" depends on it' in caplog.text
    verify(built, model, tolerance=1e-5)


@pytest.mark.parametrize(
    "options",
    ["zoom_factor: 3", "shrink_factor: 2", "shrink_factor: 3 zoom_factor: 2 pad_beg: -1", "height: 5 width: 7"],
)
def test_interpolation_of_any_size(options: str) -> None:
    text = f'layer {{ name: "up" type: "Interp" bottom: "data" top: "up" interp_param {{ {options} }} }}'
    built = net(text)
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    for height, width in ((8, 10), (9, 11), (13, 6)):
        x = np.random.default_rng(height).normal(size=(2, 3, height, width))
        verify(built, model, {"data": x}, tolerance=1e-5)


def test_sizes_that_vary_are_right_at_other_sizes() -> None:
    text = (
        CONVOLUTION.format("conv", "data") + 'layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" '
        "pooling_param { kernel_size: 3 stride: 2 pad: 1 } }"
        + 'layer { name: "up" type: "Deconvolution" bottom: "pool" top: "up" convolution_param { num_output: 2 '
        'kernel_size: 4 stride: 2 weight_filler { type: "bilinear" } } }'
        + 'layer { name: "score" type: "Crop" bottom: "up" bottom: "data" top: "score" crop_param { offset: 1 } }'
    )
    built = net(text)
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    assert dims(model.graph.output[0]) == ["N", 2, "H", "W"]
    for height, width in ((8, 10), (9, 11), (17, 24)):
        x = np.random.default_rng(height).normal(size=(1, 3, height, width))
        verify(built, model, {"data": x}, tolerance=1e-5)
    assert built.blobs["data"].shape == (2, 3, 8, 10)


LABELLED = (
    'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } } '
    'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 5 '
    'weight_filler { type: "xavier" } } } '
    'layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" } '
    'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" } '
    'layer { name: "half" type: "Power" bottom: "loss" top: "half" power_param { scale: 0.5 } }'
)


def test_losses_and_what_reads_them_are_left_out() -> None:
    model = export(net(LABELLED))
    assert [info.name for info in model.graph.input] == ["data"]
    assert dims(model.graph.input[0]) == ["N", 3, 8, 10]
    assert [info.name for info in model.graph.output] == ["ip"]


def test_losses_are_kept_where_that_is_asked() -> None:
    built = net(LABELLED)
    model = export(built, keep_losses=True)
    assert [info.name for info in model.graph.input] == ["data", "label"]
    assert [info.name for info in model.graph.output] == ["accuracy", "half"]
    x = np.random.default_rng(0).normal(size=(3, 3, 8, 10))
    verify(built, model, {"data": x, "label": [4, 0, 1]}, tolerance=1e-5)


def test_data_layers_become_inputs() -> None:
    text = (
        'layer { name: "dummy" type: "DummyData" top: "data" dummy_data_param { shape { dim: 4 dim: 3 } '
        'data_filler { type: "uniform" } } transform_param { scale: 0.5 mean_value: 104 } } '
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 5 '
        'weight_filler { type: "xavier" } } }'
    )
    built = Net(text, "TEST", seed=0)
    model = export(built)
    assert dims(model.graph.input[0]) == ["N", 3]
    assert dims(model.graph.output[0]) == ["N", 5]
    verify(built, model)
    assert "mean_value: 104" in {one.key: one.value for one in model.metadata_props}["caffe.transform_param.data"]


@pytest.fixture
def images(tmp_path: Path) -> str:
    """A net that reads images of one value each, 10, 20, ..., and its labels."""
    import cv2

    for index in range(5):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((6, 8, 3), 10 * (index + 1), np.uint8))
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path / f'{index}.png'} {index % 3}\n" for index in range(5)))
    mean = np.stack([np.full((6, 8), value, np.float32) for value in (1, 2, 3)])[None]
    bicerin_proto.write_binary(bicerin_proto.array_blob(mean), tmp_path / "mean.binaryproto")
    return (
        f'layer {{ name: "images" type: "ImageData" top: "data" top: "label" image_data_param {{ batch_size: 3 source: '
        f'"{tmp_path / "list.txt"}" }} transform_param {{ scale: 0.5 mean_file: "{tmp_path / "mean.binaryproto"}" }} }}'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 '
        'weight_filler { type: "xavier" } } }'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }'
    )


def test_what_a_data_layer_reads_is_compared(images: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Net(images, "TEST", seed=0)
    built.run_forward()
    first = built.blobs["ip"].data.copy()
    model = export(built, keep_losses=True)
    given: list[dict[str, np.ndarray]] = []
    made = verification.model_candidate

    def watched(*arguments: Any) -> Any:
        candidate = made(*arguments)
        run = candidate.run
        candidate.run = lambda fed: (given.append(dict(fed)), run(fed))[1]
        return candidate

    monkeypatch.setattr(verification, "model_candidate", watched)
    verify(built, model, tolerance=1e-5)
    assert [one["data"][:, 0, 0, 0].tolist() for one in given] == [[19.5], [19.5, 24.5, 4.5]]
    assert [one["label"].tolist() for one in given] == [[0], [0, 1, 0]]
    built.run_forward()
    assert not np.array_equal(built.blobs["ip"].data, first)
    again = Net(images, "TEST", seed=0)
    again.load_weights(built.to_proto())
    again.run_forward()
    again.run_forward()
    np.testing.assert_array_equal(built.blobs["ip"].data, again.blobs["ip"].data, "it stands where it stood")
    metadata = {one.key: one.value for one in model.metadata_props}
    assert [metadata[f"caffe.{key}.data"] for key in ("mean", "scale", "channels")] == ["1 2 3", "0.5", "BGR"]


def test_a_data_layer_that_has_nothing_is_compared_on_noise(caplog: pytest.LogCaptureFixture) -> None:
    built = Net(
        'layer { name: "memory" type: "MemoryData" top: "data" top: "label" memory_data_param { batch_size: 2 '
        'channels: 3 height: 6 width: 6 } } layer { name: "t" type: "TanH" bottom: "data" top: "t" }',
        "TEST",
    )
    with caplog.at_level(logging.INFO, "bicerin.onnx"):
        assert {row.blob for row in verify(built, export(built)).rows} == {"t"}
    assert 'layer "memory" reads nothing to compare on' in caplog.text


def test_a_mean_that_is_gone_is_not_in_the_metadata(caplog: pytest.LogCaptureFixture) -> None:
    built = Net(IMAGES.format("Input", INPUT, 'mean_file: "nosuch.binaryproto"'), "TEST")
    assert "caffe.mean.data" not in {one.key for one in export(built).metadata_props}
    assert "the mean is not in the model's metadata" in caplog.text and "nosuch.binaryproto" in caplog.text


def test_an_image_is_compared(tmp_path: Path, images: str) -> None:
    built = net('layer { name: "half" type: "Power" bottom: "data" top: "half" power_param { scale: 0.5 } }')
    (row,) = {row.shape for row in verify(built, export(built), tmp_path / "1.png").rows}
    assert row == (1, 3, 8, 10), "resized to the net's input"
    reading = Net(images, "TEST", seed=0)
    verify(reading, export(reading, preprocess=True), tmp_path / "1.png", tolerance=1e-5)
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(DataError, match=r"Could not load .*text\.png"):
        verify(built, export(built), tmp_path / "text.png")
    flat = Net(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "y" type: "TanH" bottom: "x" top: "y" }', "TEST",
    )  # fmt: skip
    with pytest.raises(NetError, match="an image is for one input of 1 or 3 channels; of those there are: none"):
        verify(flat, export(flat), tmp_path / "1.png")


def test_layers_in_place_on_an_input() -> None:
    built = net('layer { name: "half" type: "Power" bottom: "data" top: "data" power_param { scale: 0.5 } }')
    model = export(built)
    assert [info.name for info in model.graph.input] == ["data"]
    assert [info.name for info in model.graph.output] == ["half"]
    assert dims(model.graph.input[0]) == ["N", 3, "H", "W"]
    verify(built, model, tolerance=1e-6)


IMAGES = (
    'layer {{ name: "images" type: "{0}" top: "data" {1} transform_param {{ {2} }} }} '
    'layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param {{ kernel_size: 2 }} }}'
)
INPUT = "input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } }"
DUMMY = "dummy_data_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } }"


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ("scale: 0.5", (4, 3, 6, 6)),
        ("mean_value: 104 mean_value: 117 mean_value: 123", (1, 3, 6, 6)),
        ("crop_size: 6 mean_value: 100 scale: 0.25", (2, 3, 9, 12)),
    ],
)
def test_raw_images(options: str, shape: tuple[int, ...]) -> None:
    built = Net(IMAGES.format("DummyData", DUMMY, options), "TEST")
    model = export(built, preprocess=True)
    (image,) = model.graph.input
    assert image.name == "data_image" and image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    verify(built, model, tolerance=1e-6)
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    verify(built, model, {"data_image": pixels}, tolerance=1e-6)
    blob = session(model, ["data"])({"data_image": pixels.astype(np.uint8)})["data"]
    mean = np.array([104, 117, 123]) if "104" in options else np.array([100 if "100" in options else 0] * 3)
    middle = pixels[:, :, 1:7, 3:9] if "crop" in options else pixels
    scale = 0.5 if "0.5" in options else 0.25 if "0.25" in options else 1
    np.testing.assert_allclose(blob, (middle - mean[:, None, None]) * scale, rtol=1e-6)


def test_raw_images_with_a_mean_image(tmp_path: Path) -> None:
    mean = np.random.default_rng(0).uniform(50, 150, (1, 3, 9, 8)).astype(np.float32)
    bicerin_proto.write_binary(bicerin_proto.array_blob(mean), tmp_path / "mean.binaryproto")
    text = IMAGES.format("DummyData", DUMMY, f'crop_size: 6 mean_file: "{tmp_path / "mean.binaryproto"}"')
    built = Net(text, "TEST")
    model = export(built, preprocess=True)
    assert dims(model.graph.input[0])[1:] == [3, 9, 8]
    verify(built, model, tolerance=1e-6)


def test_raw_images_are_neither_resized_nor_mirrored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((9, 8, 3), np.uint8))
    (tmp_path / "list").write_text(f"{tmp_path / 'one.png'} 0\n")
    reading = f'image_data_param {{ source: "{tmp_path / "list"}" batch_size: 1 new_height: 6 new_width: 7 }}'
    export(Net(IMAGES.format("ImageData", reading, "mirror: true"), "TEST"), preprocess=True)
    assert "the model does not mirror images" in caplog.text
    assert "does not resize images: give them as 6 x 7 (height x width)" in caplog.text


def test_raw_images_need_a_data_layer() -> None:
    with pytest.raises(NetError, match="no input comes from a data layer with a transform_param"):
        export(net(CONVOLUTION.format("conv", "data")), preprocess=True)


def test_end() -> None:
    built = recorded("lenet")
    model = export(built, end="pool1")
    assert [info.name for info in model.graph.output] == ["pool1"]
    assert len(model.graph.node) == 2
    verify(built, model)


def test_a_python_layer_says_itself_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exported_layers.py").write_text(
        "class Twice:\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)\n"
        "    def forward(self, bottom, top): top[0].data[...] = 2 * bottom[0].data\n"
        "    def backward(self, top, propagate_down, bottom): pass\n"
        "class Told(Twice):\n"
        "    def to_onnx(self, graph): return graph.op('Mul', graph.bottoms[0], 2.0)\n"
        "class Forgot(Twice):\n"
        "    def to_onnx(self, graph): graph.op('Mul', graph.bottoms[0], 2.0)\n"
        "    def to_torch(self, code): f'2 * {code.bottoms[0]}'\n"
        "class LeftOut(Twice):\n"
        "    def to_onnx(self, graph): return ()\n"
        "    def to_torch(self, code): return []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    layer = (
        'layer {{ name: "p" type: "Python" bottom: "data" top: "p" '
        'python_param {{ module: "exported_layers" layer: "{}" }} }}'
    )
    built = net(layer.format("Told"))
    verify(built, export(built), tolerance=1e-6)
    with pytest.raises(Exception, match=r"(?s)Twice.*to_onnx\(self, graph\)"):
        export(net(layer.format("Twice")))
    # A `return` that was forgotten would leave out the layer and all behind it.
    for write, method in ((export, "to_onnx"), (pytorch_export, "to_torch")):
        with pytest.raises(LayerError, match=rf'layer "p" \(Python\): {method} of Forgot returned nothing: it is to'):
            write(net(layer.format("Forgot")))
    loss = layer.format("Forgot").replace('top: "p"', 'top: "p" loss_weight: 1')
    relu = 'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }'
    for text in (layer.format("LeftOut"), loss):
        built = net(text + relu)
        assert [info.name for info in export(built).graph.output] == ["relu"]
        assert pytorch_export(built).blobs == ("relu",)
    with pytest.raises(LayerError, match="to_onnx of Forgot returned nothing"):
        export(net(loss + relu), keep_losses=True)


def test_a_difference_names_the_first_layer() -> None:
    built = recorded("lenet")
    model = export(built)
    for tensor in model.graph.initializer:
        if tensor.name == "conv2/1":
            array = onnx.numpy_helper.to_array(tensor) + 1
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), tensor.name))
    with pytest.raises(VerificationError, match=r'first in layer "conv2" \(type "Convolution"\): blob "conv2"'):
        verify(built, model)


def test_the_net_is_as_it_was(tmp_path: Path) -> None:
    built = net(CONVOLUTION.format("conv", "data") + NORM)
    x = np.random.default_rng(5).normal(size=(2, 3, 8, 10))
    before = built.forward(data=x)
    export(built, tmp_path / "net.onnx")
    after = built.forward(data=x)
    np.testing.assert_array_equal(before["conv"], after["conv"])
    model = onnx.load(tmp_path / "net.onnx")
    np.testing.assert_allclose(
        session(model, [])({"data": x.astype(np.float32)})["conv"], after["conv"], rtol=1e-4, atol=1e-5
    )


BRANCHES = CONVOLUTION.format("conv", "data") + (
    'layer { name: "relu" type: "ReLU" bottom: "conv" top: "relu" } layer { name: "tanh" type: "TanH" bottom: "conv" '
    'top: "tanh" } layer { name: "sum" type: "Eltwise" bottom: "relu" bottom: "tanh" bottom: "conv" top: "sum" }'
)


@pytest.mark.parametrize(
    "use",
    [
        export,
        lambda built: export(built, end="relu"),
        pytorch_export,
        lambda built: verify(built, export(built)),
        lambda built: quantize(built, export(built), 1, {"data": np.ones((4, 3, 8, 10))}),
    ],
    ids=["export", "end", "torch", "verify", "quantize"],
)
def test_blobs_and_arrays_of_them_are_as_they_were(use: Any) -> None:
    """Other sizes are tried, and noise runs, in the net's own blobs."""
    built = net(BRANCHES)
    x, other = np.random.default_rng(5).normal(size=(2, 2, 3, 8, 10))
    built.forward(data=x)
    before = {name: np.array(blob.data) for name, blob in built.blobs.items()}
    held = {name: blob.data for name, blob in built.blobs.items()}
    use(built)
    for name, blob in built.blobs.items():
        np.testing.assert_array_equal(blob.data, before[name])
        assert np.shares_memory(blob.data, held[name]), name
    expected = built.forward(data=other)["sum"]
    built.forward(data=x)
    held["data"][...] = other
    built.forward()
    np.testing.assert_array_equal(held["sum"], expected)
    built.blobs["conv"].data[...] = 0
    assert np.all(built.forward(start="relu")["sum"] == 0), "what several read is theirs"


def test_sequences_go_on_after_an_export() -> None:
    """Hidden states are of a size that is tried too, and what runs to be compared begins with 0."""
    ours, exported = (Net(WORDS, "TEST", seed=1) for _ in range(2))
    inputs = {"words": np.random.default_rng(0).integers(0, 7, (5, 2)), "cont": np.ones((5, 2))}
    for each in (ours, exported):
        each.forward(**inputs)
    verify(exported, export(exported), {**inputs, "words": inputs["words"][::-1]})
    np.testing.assert_array_equal(exported.forward(**inputs)["score"], ours.forward(**inputs)["score"])


def test_weights_beyond_the_limit_go_to_a_file_of_their_own(tmp_path: Path) -> None:
    from bicerin_onnx.model import write

    built = recorded("lenet")
    model = export(built)
    write(model, tmp_path / "net.onnx", largest=1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    assert (tmp_path / "net.onnx").stat().st_size < 10_000
    verify(built, tmp_path / "net.onnx")
    x = {"data": np.zeros((1, 1, 28, 28), np.float32)}
    np.testing.assert_array_equal(session(model, [], largest=1000)(x)["prob"], session(model, [])(x)["prob"])


@pytest.mark.parametrize("keep_losses", [False, True])
def test_what_evaluates_detections_is_left_out(keep_losses: bool) -> None:
    """A test net of SSD ends with its evaluation; the model ends with the detections."""
    text = (
        DETECTOR
        + """
    layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 1 dim: 1 dim: 2 dim: 8 } } }
    layer { name: "eval" type: "DetectionEvaluate" bottom: "found" bottom: "label" top: "eval"
      detection_evaluate_param { num_classes: 3 background_label_id: 0 } }
    """
    )
    built = Net(text, "TEST", seed=1)
    if keep_losses:
        with pytest.raises(LayerError, match="which boxes are right, of the labels' in turn, is not exported"):
            export(built, keep_losses=True)
    else:
        model = export(built)
        assert [value.name for value in model.graph.output] == ["found"]
        assert [value.name for value in model.graph.input] == ["data"]
