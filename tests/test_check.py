"""`bicerin check` with real layers: LeNet's known size, a solver whose data is missing, a detector's shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bicerin import TEST, Net
from bicerin.cli.command_line import command_line

MNIST = Path(__file__).parents[1] / "examples" / "mnist"


def check(*arguments: str | Path, status: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(command_line, ["check", "--json", *map(str, arguments)])
    assert result.exit_code == status, result.output
    (report,) = json.loads(result.stdout)
    found: dict[str, Any] = report
    return found


def shapes(net: dict[str, Any]) -> dict[str, list[int]]:
    return {row["name"]: row["top_shapes"] for row in net["layers"]}


@pytest.fixture
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's solver and net, without its LMDBs."""
    for name in ("lenet_solver.prototxt", "lenet_train_test.prototxt"):
        (tmp_path / name).write_text((MNIST / name).read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lenet_is_known_without_its_data(no_data: Path) -> None:
    report = check("lenet_solver.prototxt", "--input", "data=?,1,28,28")
    train, test = report["nets"]
    assert (train["phase"], test["phase"], report["kind"]) == ("TRAIN", "TEST", "solver")
    assert train["parameters"] == test["parameters"] == 431_080
    assert shapes(train)["conv2"] == [[64, 50, 8, 8]] and shapes(train)["ip2"] == [[64, 10]]
    products = {row["name"]: row["multiply_adds"] // 64 for row in train["layers"]}
    assert {name: products[name] for name in ("conv1", "conv2", "ip1", "ip2")} == {
        "conv1": 20 * 24 * 24 * 25,
        "conv2": 50 * 8 * 8 * 20 * 25,
        "ip1": 500 * 800,
        "ip2": 10 * 500,
    }
    assert "accuracy" in shapes(test) and "accuracy" not in shapes(train)


def test_what_needs_the_data_is_said_and_no_error(no_data: Path) -> None:
    report = check("lenet_train_test.prototxt")
    assert report["errors"] == []
    for net in report["nets"]:
        assert not net["complete"]
        data = net["layers"][0]
        assert "does not exist" in data["note"]
        assert data["top_shapes"][0] is None and len(data["top_shapes"][1]) == 1


IMAGES = """
layer {{ name: "data" type: "{type}" top: "data" top: "label" {more} }}
layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param {{ kernel_size: 2 stride: 2 }} }}
"""


@pytest.mark.parametrize(
    ("layer_type", "more", "expected"),
    [
        ("Data", 'data_param { source: "no" batch_size: 5 } transform_param { crop_size: 24 }', [5, 3, 12, 12]),
        (
            "Data",
            'data_param { source: "no" batch_size: 5 } transform_param { crop_size: 24 force_gray: true }',
            [5, 1, 12, 12],
        ),
        ("ImageData", 'image_data_param { source: "no" batch_size: 2 new_height: 8 new_width: 6 }', [2, 3, 4, 3]),
        (
            "ImageData",
            'image_data_param { source: "no" batch_size: 2 is_color: false } transform_param { crop_size: 4 }',
            [2, 1, 2, 2],
        ),
        (
            "WindowData",
            'window_data_param { source: "no" batch_size: 4 } transform_param { crop_size: 8 }',
            [4, 3, 4, 4],
        ),
        (
            "MemoryData",
            'memory_data_param { batch_size: 2 channels: 3 height: 4 width: 4 } transform_param { mean_file: "no" }',
            [2, 3, 2, 2],
        ),
        ("HDF5Data", 'hdf5_data_param { source: "no" batch_size: 2 }', None),
    ],
)
def test_data_layers_tell_what_their_parameters_say(
    layer_type: str, more: str, expected: list[int] | None, no_data: Path
) -> None:
    Path("net.prototxt").write_text(IMAGES.format(type=layer_type, more=more))
    report = check("net.prototxt")
    data, pool = report["nets"][0]["layers"]
    assert pool["top_shapes"] == [expected]
    assert data["assumed"] == (expected is not None) and data["note"]


def test_wrong_parameters_of_a_data_layer_are_an_error(no_data: Path) -> None:
    more = 'window_data_param { source: "no" batch_size: 4 }'
    Path("net.prototxt").write_text(IMAGES.format(type="WindowData", more=more))
    assert "must give a crop_size" in check("net.prototxt", status=1)["errors"][0]


def test_every_shape_is_the_nets(tmp_path: Path) -> None:
    """What is told without running is what a net has."""
    text = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 13 dim: 13 } } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
            convolution_param { num_output: 6 kernel_size: 3 group: 3 stride: 2 } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
    layer { name: "up" type: "Deconvolution" bottom: "conv" top: "up"
            convolution_param { num_output: 4 kernel_size: 2 } }
    layer { name: "slice" type: "Slice" bottom: "up" top: "left" top: "right" }
    layer { name: "join" type: "Eltwise" bottom: "left" bottom: "right" top: "join" }
    layer { name: "norm" type: "LRN" bottom: "join" top: "norm" }
    layer { name: "ip" type: "InnerProduct" bottom: "norm" top: "ip" inner_product_param { num_output: 5 } }
    layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
    """
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    (outline,) = check(path)["nets"]
    net = Net(path, TEST)
    found = {}
    for row in outline["layers"]:
        found |= {top: tuple(shape) for top, shape in zip(row["top"], row["top_shapes"], strict=True)}
    assert found == {name: blob.shape for name, blob in net.blobs.items() if "split" not in name}
    assert outline["parameters"] == sum(blob.count for blob in net.learnable_params)
    by_name = {row["name"]: row["multiply_adds"] for row in outline["layers"]}
    assert by_name["conv"] == 2 * 6 * 6 * 6 * 9
    assert by_name["up"] == 2 * 6 * 6 * 6 * 4 * 4


def test_a_label_map_is_known_as_such(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.prototxt"
    path.write_text('item { name: "none_of_the_above" label: 0 display_name: "background" }\n')
    assert check(path)["kind"] == "LabelMap"
    said = CliRunner().invoke(command_line, ["check", str(path)]).output
    assert said == f"{path}: LabelMap, no errors\n"
    path.write_text('item { nane: "none_of_the_above" label: 0 }\n')
    report = check(path, status=1)
    assert report["kind"] is None and "has no field named" in report["errors"][0]


def test_python_layers_are_not_run_where_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text("from pathlib import Path\nPath('was_here').touch()\nclass Layer: pass\n")
    Path("net.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "p" type: "Python" bottom: "x" top: "y" python_param { module: "evil" layer: "Layer" } }'
        'layer { name: "a" type: "AbsVal" bottom: "x" top: "a" }'
        'layer { name: "b" type: "AbsVal" bottom: "y" top: "b" }'
    )
    (net,) = check("net.prototxt", "--no-python")["nets"]
    assert not Path("was_here").exists()
    assert shapes(net) == {"in": [[2, 3]], "p": [None], "a": [[2, 3]], "b": [None]}
    assert "a layer of the type Python is not run here" in [row["note"] for row in net["layers"]]
    check("net.prototxt", status=1)
    assert Path("was_here").exists()
