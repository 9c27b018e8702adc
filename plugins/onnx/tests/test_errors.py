"""What cannot be exported: one clear error each, and nothing half written."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bicerin import Net
from bicerin.errors import BicerinError, LayerError, NetError
from bicerin_onnx import export, verify
from bicerin_onnx.hooks import hooks

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 10 } } }'
RELU = DATA + 'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }'
LOSS = (
    DATA + 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } } '
    'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 5 } } '
    'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }'
)


def test_a_net_in_train(tmp_path: Path) -> None:
    with pytest.raises(NetError, match=r"phase TRAIN.*TEST"):
        export(Net(LOSS, "TRAIN"), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 12}, "opset 12: it may be 13 to"),
        ({"opset": 999}, "opset 999: it may be 13 to"),
        ({"opset": "17"}, "opset '17'"),
        ({"end": "nothing"}, 'end="nothing": the net has no such blob; it has: data, relu'),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetError, match=message):
        export(Net(RELU, "TEST"), **options)


def test_an_end_that_is_left_out() -> None:
    with pytest.raises(
        NetError,
        match='end="loss": it is made by "loss", which is not exported without keep_losses=True, or --keep-losses',
    ):
        export(Net(LOSS, "TEST"), end="loss")
    export(Net(LOSS, "TEST"), end="loss", keep_losses=True)


def test_a_layer_in_place_on_memory_that_another_reads() -> None:
    net = Net(
        'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 4 } } }'
        'layer { name: "p" type: "Power" bottom: "d" top: "p" }'
        'layer { name: "f" type: "Flatten" bottom: "p" top: "f" }'
        'layer { name: "r" type: "ReLU" bottom: "f" top: "f" } layer { name: "t" type: "Power" bottom: "p" top: "t" }',
        "TEST",
    )
    said = r'layer "r" \(ReLU\) cannot be exported: it works in place on "f", in whose memory .* which "t" reads'
    with pytest.raises(NetError, match=said):
        export(net)
    assert [value.name for value in export(net, end="f").graph.output] == ["f"], "without the reader it may be"


def test_an_optimized_net() -> None:
    with pytest.raises(NetError, match="optimize=True"):
        export(Net(RELU, "TEST", optimize=True))


def test_something_else() -> None:
    with pytest.raises(NetError, match=r"takes a bicerin.Net, not str"):
        export("net.prototxt")  # type: ignore[arg-type]


def test_a_folder_that_is_missing_or_read_only_or_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BicerinError, match="there is no folder"):
        export(Net(RELU, "TEST"), tmp_path / "missing" / "net.onnx")
    with pytest.raises(BicerinError, match="it is a folder"):
        export(Net(RELU, "TEST"), tmp_path)
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda *arguments, **options: False)
    with pytest.raises(BicerinError, match="read-only"):
        export(Net(RELU, "TEST"), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def without_relu(provided: Any) -> None:
    del provided.index["bicerin.onnx"]["ReLU"]
    assert "ReLU" not in hooks


@pytest.mark.usefixtures("without_relu")
def test_a_layer_that_nobody_exports(tmp_path: Path) -> None:
    with pytest.raises(
        NetError,
        match=r'layer "relu" \(type "ReLU", of bicerin-activation\) cannot be exported.*the group bicerin.onnx',
    ):
        export(Net(RELU, "TEST"), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def failing(graph: Any, layer: Any) -> None:
    raise TypeError("not what it was")


def test_a_function_that_fails(provided: Any, tmp_path: Path) -> None:
    """The export names the layer; a runtime leaves it here."""
    del provided.index["bicerin.onnx"]["ReLU"]
    provided.add("bicerin.onnx", "ReLU", f"{__name__}:failing", distribution="bicerin-activation")
    with pytest.raises(
        BicerinError, match=r'(?s)layer "relu" \(ReLU\): the function that exports it raised TypeError: not'
    ):
        export(Net(RELU, "TEST"), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
    net = Net(RELU, "TEST", runtime="onnxruntime")
    assert net.refusals == {"relu": "the function that exports it raised TypeError: not what it was"}
    assert net.forward(data=np.full((1, 3, 8, 10), -1))["relu"].max() == 0


def no_operation(graph: Any, layer: Any) -> Any:
    return graph.op("Nope", graph.bottoms[0])


def other_shape(graph: Any, layer: Any) -> Any:
    return graph.op("Flatten", graph.op("Relu", graph.bottoms[0]))


def two_values(graph: Any, layer: Any) -> Any:
    return graph.op("Relu", graph.bottoms[0]), graph.bottoms[0]


def no_value(graph: Any, layer: Any) -> Any:
    return ["relu"]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("no_operation", "made a node Nope that does not pass ONNX's checks: .*Nope"),
        ("other_shape", "made a node Flatten that does not pass ONNX's checks: .*differ in rank"),
        ("two_values", r"returned 2 values for 1 top\(s\)"),
        ("no_value", "returned 'relu', which is no value"),
    ],
)
def test_a_function_whose_nodes_are_wrong(provided: Any, function: str, said: str) -> None:
    """The error names the layer, the function and who brings it."""
    del provided.index["bicerin.onnx"]["ReLU"]
    provided.add("bicerin.onnx", "ReLU", f"{__name__}:{function}", distribution="bicerin-activation")
    who = rf'layer "relu" \(type "ReLU"\), of bicerin-activation \S+ \({__name__}:{function}\), '
    with pytest.raises(NetError, match=f"(?s)the ONNX function of {who}{said}"):
        export(Net(RELU, "TEST"))


@pytest.mark.usefixtures("without_relu")
def test_a_node_of_the_domain_caffe() -> None:
    text = RELU.replace('top: "relu" }', 'top: "relu" relu_param { negative_slope: 0.5 } }')
    model = export(Net(text, "TEST"), custom_domain=True)
    (node,) = model.graph.node
    assert (node.domain, node.op_type, list(node.input), list(node.output)) == ("caffe", "ReLU", ["data"], ["relu"])
    assert node.attribute[0].name == "param"
    assert b"negative_slope: 0.5" in node.attribute[0].s
    assert {one.domain: one.version for one in model.opset_import} == {"": 17, "caffe": 1}
    with pytest.raises(NetError, match="ONNX Runtime refuses the model"):
        verify(Net(text, "TEST"), model)


def half_way(graph: Any, layer: Any) -> None:
    graph.op("Exp", graph.bottoms[0])
    graph.refuse("it cannot be said.")


def test_what_a_function_refuses_is_a_node_of_the_domain_caffe(provided: Any, caplog: Any) -> None:
    """What the function had added before is taken back."""
    del provided.index["bicerin.onnx"]["ReLU"]
    provided.add("bicerin.onnx", "ReLU", f"{__name__}:half_way", distribution="bicerin-activation")
    with pytest.raises(LayerError, match="it cannot be said"):
        export(Net(RELU, "TEST"))
    with caplog.at_level(logging.INFO, "bicerin.onnx"):
        model = export(Net(RELU, "TEST"), custom_domain=True)
    assert [(node.domain, node.op_type, node.output[0]) for node in model.graph.node] == [("caffe", "ReLU", "relu")]
    assert [record.getMessage() for record in caplog.records] == [
        'layer "relu" becomes a node of the domain "caffe": it cannot be said.'
    ]


def test_the_blobs_to_end_with_are_those_of_the_file() -> None:
    text = RELU + 'layer { name: "sum" type: "Eltwise" bottom: "relu" bottom: "data" top: "sum" }'
    with pytest.raises(NetError, match='end="nosuch": the net has no such blob; it has: data, relu, sum'):
        export(Net(text, "TEST"), end="nosuch")


def run(*arguments: str) -> Any:
    from bicerin.cli.command_line import command_line

    return CliRunner().invoke(command_line, ["export", *arguments])


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(RELU)
    result = run(str(tmp_path / "net.prototxt"), "-o", str(tmp_path / "net.onnx"))
    assert result.exit_code == 0, result.output
    assert "difference" in result.output
    assert "1 operations, opset 17, data (N, 3, H, W) -> relu (N, 3, H, W)" in result.output
    assert (tmp_path / "net.onnx").is_file()


TWO = RELU + "".join(
    f'layer {{ name: "{name}" type: "InnerProduct" bottom: "relu" top: "{name}" inner_product_param {{ num_output: 2 '
    'weight_filler { type: "xavier" } } }'
    for name in ("known", "other")
)


def test_the_command_with_layers_that_no_file_has_weights_of(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(TWO)
    known = Net(TWO.replace('name: "other"', 'name: "another"'), "TEST", seed=1)
    known.save(tmp_path / "net.caffemodel")
    start = [str(tmp_path / "net.prototxt"), "-o", str(tmp_path / "net.onnx")]
    weights = ["-w", str(tmp_path / "net.caffemodel")]
    for arguments, said in (([], "no --weights: the model"), (weights, 'has those of "other": the model')):
        result = run(*start, *arguments)
        assert result.exit_code == 1 and said in result.output, result.output
        assert not (tmp_path / "net.onnx").exists()
    assert run(*start, *weights, "--random-weights").exit_code == 0
    assert run(*start, *weights, "--end", "known").exit_code == 0, "the other layer is not in it"


def test_the_command_in_train(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(RELU)
    result = run(str(tmp_path / "net.prototxt"), "-o", str(tmp_path / "net.onnx"), "--phase", "TRAIN")
    assert result.exit_code == 1
    assert "phase TRAIN" in result.output
    assert not (tmp_path / "net.onnx").exists()


def test_the_command_with_an_opset_that_there_is_not(tmp_path: Path) -> None:
    """Said before the net is read."""
    result = run(str(tmp_path / "none.prototxt"), "-o", str(tmp_path / "net.onnx"), "--opset", "12")
    assert result.exit_code == 1
    assert "opset 12: it may be 13 to" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_command_without_the_weights(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(RELU)
    result = run(
        str(tmp_path / "net.prototxt"), "-w", str(tmp_path / "lost.caffemodel"), "-o", str(tmp_path / "n.onnx")
    )
    assert result.exit_code == 1
    assert "lost.caffemodel" in result.output
    assert not (tmp_path / "n.onnx").exists()


@pytest.mark.parametrize("language", ["onnx", "torch"])
@pytest.mark.parametrize("way", ["same", "spelled", "link"])
@pytest.mark.parametrize("option", ["NET", "--weights", "--inputs", "--int8"])
def test_the_command_does_not_write_over_what_it_reads(option: str, way: str, language: str, tmp_path: Path) -> None:
    """By whatever name; for PyTorch there are two files that it writes."""
    net, other = tmp_path / "net.prototxt", tmp_path / ("other.safetensors" if language == "torch" else "other.npz")
    net.write_text(RELU)
    other.write_text("what was there")
    read = net if option == "NET" else other
    output = {"same": read, "spelled": tmp_path / ".." / tmp_path.name / read.name, "link": tmp_path / "link"}[way]
    if language == "torch":
        output = output.with_suffix(".safetensors")
    if way == "link" or not output.exists():
        output.symlink_to(read)
    given = str(output.with_suffix(".py") if language == "torch" else output)
    options = [] if option == "NET" else [option, str(other)]
    result = run(str(net), "-o", given, "--to", language, *options)
    assert result.exit_code == 1
    assert f"would be written over {read}, which {option} names" in " ".join(result.output.split())
    assert net.read_text() == RELU and other.read_text() == "what was there"


REGIONS = (
    'layer { name: "f" type: "Input" top: "f" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 10 } } }'
    'layer { name: "r" type: "Input" top: "r" input_param { shape { dim: 2 dim: 5 } } }'
    'layer { name: "pool" type: "ROIPooling" bottom: "f" bottom: "r" top: "pool" roi_pooling_param { pooled_h: 3 '
    "pooled_w: 2 } }"
)
MAPS, BOXES = np.ones((1, 3, 8, 10), np.float32), np.array([[0, 0, 0, 7, 7], [0, 1, 2, 3, 4]], np.float32)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r'does not run on noise for "f", "r", to be compared: give arrays with --inputs, or --no-verify\. \w+'),
        ({"f": MAPS}, 'does not run on noise for "r", to be compared'),
        (
            {"f": MAPS[:, :2], "r": BOXES},
            r'the input "f" has the shape \(1, 2, 8, 10\); the model takes \(N, 3, H, W\)',
        ),
        ({"f": MAPS[0], "r": BOXES}, r'the input "f" has the shape \(3, 8, 10\); the model takes \(N, 3, H, W\)'),
        ({"f": MAPS, "r": BOXES.astype(str)}, 'the input "r" is of .*, not of numbers'),
        ({"f": MAPS, "rois": BOXES}, 'an array for "rois", which is no blob of the net; the inputs of the model: f, r'),
    ],
    ids=["none", "one", "channels", "axes", "text", "name"],
)
def test_inputs_that_nothing_runs_on(inputs: dict[str, Any], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    """In a sentence of ours alone: ONNX Runtime would also write its own to the screen."""
    net = Net(REGIONS, "TEST")
    model = export(net)
    verify(net, model, {"f": MAPS, "r": BOXES})
    with pytest.raises(NetError, match=message):
        verify(net, model, inputs)
    assert capfd.readouterr().err == ""


def test_arrays_of_two_batch_sizes() -> None:
    net = Net(RELU + 'layer { name: "sum" type: "Eltwise" bottom: "relu" bottom: "data" top: "sum" }', "TEST")
    assert {row.batch for row in verify(net, export(net), {"data": np.ones((5, 3, 9, 7))}).rows} == {5}
    two = RELU.replace('"data"', '"other"').replace('"relu"', '"also"') + RELU
    two += 'layer { name: "sum" type: "Eltwise" bottom: "relu" bottom: "also" top: "sum" }'
    net = Net(two, "TEST")
    model = export(net)
    shapes = {row.shape for row in verify(net, model, {"data": np.ones((5, 3, 9, 7))}).rows}
    assert shapes == {(5, 3, 9, 7)}, "noise has the sizes that the array has"
    with pytest.raises(NetError, match=r"shape \(4, 3, 9, 7\); the model takes \(N, 3, H, W\), where N is 5"):
        verify(net, model, {"other": np.ones((5, 3, 9, 7)), "data": np.ones((4, 3, 9, 7))})


@pytest.mark.parametrize(
    ("filler", "value", "count"),
    [("", 1.0, 2), ('weight_filler { type: "xavier" }', np.nan, 3), ('weight_filler { type: "xavier" }', 1.0, 0)],
    ids=["zeros", "nan", "something"],
)
def test_a_comparison_that_proves_nothing(filler: str, value: float, count: int, caplog: Any) -> None:
    text = DATA + (
        f'layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {{ num_output: 4 '
        f'kernel_size: 3 {filler} }} }} layer {{ name: "tanh" type: "TanH" bottom: "conv" top: "tanh" }}'
        'layer { name: "prob" type: "Softmax" bottom: "tanh" top: "prob" }'
    )
    net = Net(text, "TEST", seed=1)
    with caplog.at_level(logging.WARNING, "bicerin.onnx"):
        verify(net, export(net), {"data": np.full((2, 3, 8, 10), value)})
    said = [record.getMessage() for record in caplog.records]
    expected = f'proves nothing of {count} of 3 blobs, the first "conv": they are all zeros, all NaN or empty'
    assert [line.endswith(expected) for line in said] == [True] * bool(count)


def test_a_comparison_of_nothing(caplog: Any) -> None:
    net = Net(RELU, "TEST")
    with caplog.at_level(logging.WARNING, "bicerin.onnx"):
        verify(net, export(net), {"data": np.ones((0, 3, 8, 10))})
    assert [record.getMessage() for record in caplog.records] == [
        'the comparison proves nothing of 1 of 1 blobs, the first "relu": they are all zeros, all NaN or empty'
    ]


def test_an_operation_that_the_runtime_has_in_an_older_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime has MaxRoiPool of opset 1 to 21."""
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotThere

    def refuse(*arguments: Any, **options: Any) -> None:
        raise NotThere("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for MaxRoiPool(22)")

    net = Net(RELU, "TEST")
    model = export(net, opset=22)
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(NetError, match=r"MaxRoiPool\(22\)\. It may know the operation .* such as opset 17"):
        verify(net, model)
