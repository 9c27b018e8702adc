"""Models of 8-bit integers: what they change, where their ranges come from, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import bicerin_proto
from bicerin import Net
from bicerin.errors import NetError
from bicerin_onnx import export, quantize
from bicerin_onnx.session import session

pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits"
DETECTOR = Path(__file__).with_name("detector.prototxt")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 handwritten digits."""
    with np.load(ROOT / "examples" / "mnist" / "digits.npz") as file:
        images, labels = file["images"][-400:], file["labels"][-400:]
    path = tmp_path_factory.mktemp("digits") / "digits_lmdb"
    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            datum = bicerin_proto.Datum(channels=1, height=28, width=28, data=image.tobytes(), label=int(label))
            transaction.put(f"{index:08d}".encode(), datum.SerializeToString())
    return path


@pytest.fixture
def digits(store: Path) -> Net:
    text = (DIGITS / "train_test.prototxt").read_text("utf-8").replace('"test_lmdb"', f'"{store}"')
    return Net(text, "TEST", weights=DIGITS / "digits.caffemodel")


def test_digits(digits: Net) -> None:
    model = export(digits)
    result = quantize(digits, model, batches=4)
    (change,) = result.changes
    assert change.output == "scores"
    # Rounded to a 256th of their ranges, layer after layer: not the same, and not far away.
    assert 1e-4 < change.mean < 0.03
    assert change.mean < change.largest < 0.2
    assert change.same_class is not None and change.same_class > 0.98
    before, after = result.results["accuracy"]
    assert before > 0.9 and abs(before - after) <= 0.02
    before, after = result.results["loss"]
    assert before != after and abs(before - after) < 0.05
    assert result.quantized == 9
    stored = {tensor.data_type for tensor in result.model.graph.initializer if len(tensor.dims) == 4}
    assert stored == {onnx.TensorProto.INT8}
    assert sum(len(t.raw_data) for t in result.model.graph.initializer) < 0.4 * sum(
        len(t.raw_data) for t in model.graph.initializer
    )
    for word in ("scores", "accuracy", "float32", "int8"):
        assert word in str(result)


def test_the_accuracy_is_that_of_the_model(digits: Net) -> None:
    """Of one that gives the scores of nothing, whatever it was."""
    model = export(digits)
    result = quantize(digits, model, batches=4)
    for tensor in model.graph.initializer:
        if tensor.name == "scores/0":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(tensor.dims, np.float32), tensor.name))
    broken = quantize(digits, model, batches=4)
    assert broken.results["accuracy"][0] == pytest.approx(result.results["accuracy"][0], abs=0.05)
    assert broken.results["accuracy"][1] < 0.3


def test_arrays_in_place_of_a_data_layer() -> None:
    net = Net(DIGITS / "digits.prototxt", "TEST", weights=DIGITS / "digits.caffemodel")
    with np.load(ROOT / "examples" / "mnist" / "digits.npz") as file:
        images = file["images"][:40, None] / 256
    result = quantize(net, export(net), inputs={"data": images})
    (change,) = result.changes
    assert change.same_class == 1 and result.results == {}
    x = {"data": images[:1].astype(np.float32)}
    (output,) = net.outputs
    np.testing.assert_allclose(session(result.model, [])(x)[output], net.forward(x)[output], atol=0.05)


def test_boxes_stay_as_they_are() -> None:
    """What decodes and sorts them is not quantized; the maps before are."""
    net = Net(DETECTOR, "TEST", seed=1)
    x = np.random.default_rng(0).normal(size=(8, 3, 32, 32))
    result = quantize(net, export(net), inputs={"data": x})
    assert result.quantized == 4  # three convolutions and a ReLU6
    types = {node.op_type for node in result.model.graph.node}
    assert {"NonMaxSuppression", "QuantizeLinear"} <= types


def test_nothing_to_quantize() -> None:
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }'
    )
    net = Net(text, "TEST")
    with pytest.raises(NetError, match="no layer with weights that could be quantized"):
        quantize(net, export(net), inputs={"data": np.zeros((4, 3))})


@pytest.mark.parametrize(
    ("between", "bottom", "spoil", "message"),
    [
        ("", "data", "data", 'int8: 1 of 384 values of the input "data" are NaN'),
        ('layer { name: "log" type: "Log" bottom: "data" top: "log" }', "log", "", 'values of the blob "log" are NaN'),
        ("", "data", "weights", 'values of the blob "conv" are NaN'),
    ],
    ids=["data", "inside", "weights"],
)
def test_values_without_a_range(between: str, bottom: str, spoil: str, message: str) -> None:
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }'
        f'{between} layer {{ name: "conv" type: "Convolution" bottom: "{bottom}" top: "conv" convolution_param {{ '
        'num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }'
    )
    net = Net(text, "TEST", seed=1)
    data = np.random.default_rng(0).normal(size=(8, 3, 8, 8))
    if spoil == "data":
        data[3, 0, 0, 0] = np.nan
    if spoil == "weights":
        net.params["conv"][0].data[0, 0, 0, 0] = np.nan
    with pytest.raises(NetError, match=message):
        quantize(net, export(net), 2, {"data": data})


def test_nothing_to_calibrate_with() -> None:
    net = Net(DIGITS / "digits.prototxt", "TEST", weights=DIGITS / "digits.caffemodel")
    model = export(net)
    with pytest.raises(NetError, match=r'no data layer makes the input "data".*give an .npz'):
        quantize(net, model)
    with pytest.raises(NetError, match='no array for the input "data"; there are: image'):
        quantize(net, model, inputs={"image": np.zeros((1, 1, 28, 28))})
    with pytest.raises(NetError, match="at least 1, as many as a batch has"):
        quantize(net, model, inputs={"data": np.zeros((0, 1, 28, 28))})
    with pytest.raises(NetError, match="0 batches"):
        quantize(net, model, batches=0)


# On the command line


def run(*arguments: Any, status: int = 0) -> str:
    from bicerin.cli.command_line import command_line

    result = CliRunner().invoke(command_line, ["export", *(str(argument) for argument in arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_the_command(store: Path, tmp_path: Path) -> None:
    net, weights = DIGITS / "train_test.prototxt", DIGITS / "digits.caffemodel"
    text = run(net, "-w", weights, "-o", tmp_path / "net.onnx", "--int8", store, "--int8-batches", 2)
    assert "accuracy" in text and "9 of 10 operations in 8 bits" in text
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}


def test_the_command_with_the_source_of_its_own(store: Path, tmp_path: Path) -> None:
    text = (DIGITS / "train_test.prototxt").read_text("utf-8").replace('"test_lmdb"', f'"{store}"')
    (tmp_path / "net.prototxt").write_text(text)
    output = run(
        tmp_path / "net.prototxt", "-w", DIGITS / "digits.caffemodel", "-o", tmp_path / "n.onnx", "--int8-batches", 2,
        "--int8",
    )  # fmt: skip
    assert "accuracy" in output


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digits.prototxt", ["--int8", "lost_lmdb"], "no layer of the net reads a store or a list"),
        ("digits.prototxt", ["--int8", "lost.npz"], "lost.npz: cannot be read: No such file"),
        ("digits.prototxt", ["--int8"], 'no data layer makes the input "data"'),
        ("train_test.prototxt", ["--int8", "lost_lmdb"], "lost_lmdb does not exist"),
        ("train_test.prototxt", ["--preprocess", "--int8", "lost_lmdb"], "preprocessed already"),
    ],
)
def test_the_command_that_fails(name: str, options: list[str], message: str, tmp_path: Path) -> None:
    output = run(DIGITS / name, "-w", DIGITS / "digits.caffemodel", "-o", tmp_path / "net.onnx", *options, status=1)
    assert message in " ".join(output.split())
    assert list(tmp_path.iterdir()) == []
