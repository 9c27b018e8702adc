"""Paths in a prototxt or on the command line that lead to no file: an error names each, wherever it stands."""

from __future__ import annotations

import pytest

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.errors import BicerinError

LAYERS = {
    "Data": 'type: "Data" data_param { source: "%s" batch_size: 1 backend: LMDB }',
    "LevelDB": 'type: "Data" data_param { source: "%s" batch_size: 1 }',
    "ImageData": 'type: "ImageData" top: "l" image_data_param { source: "%s" batch_size: 1 }',
    "image": 'type: "ImageData" top: "l" image_data_param { source: "list" root_folder: "%s" batch_size: 1 }',
    "HDF5Data": 'type: "HDF5Data" hdf5_data_param { source: "%s" batch_size: 1 }',
    "WindowData": 'type: "WindowData" top: "l" window_data_param { source: "%s" batch_size: 1 } '
    "transform_param { crop_size: 2 }",
    "mean_file": 'type: "Data" data_param { source: "missing" batch_size: 1 } transform_param { mean_file: "%s" }',
    "InfogainLoss": 'type: "InfogainLoss" bottom: "i" bottom: "i" infogain_loss_param { source: "%s" }',
    "DetectionEvaluate": 'type: "DetectionEvaluate" bottom: "i" bottom: "i" '
    'detection_evaluate_param { num_classes: 2 name_size_file: "%s" }',
}
PATHS = {
    "missing": "missing",
    "NUL": "a\\000b",
    "long": "x" * 5000,
    "folder": "folder",
    "device": "/dev/zero",
    "not UTF-8": "latin1",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from bicerin_proto import file

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(file, "_MOST_OF_DEVICE", 1 << 20)
    (tmp_path / "folder").mkdir()
    (tmp_path / "list").write_text("/nothing 0\n")
    (tmp_path / "latin1").write_bytes("caf\xe9 0\n".encode("latin-1"))
    return tmp_path


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_layers(layer, path, folder):
    inputs = 'layer { name: "i" type: "Input" top: "i" input_param { shape { dim: 2 dim: 2 } } }'
    with pytest.raises(BicerinError) as error:
        bicerin.Net(f'{inputs} layer {{ name: "d" top: "x" {layer % path} }}', "TRAIN")
    text = str(error.value)
    assert 'layer "d"' in text and "its code raised" not in text
    assert text.isprintable() or text.replace("\n", "").isprintable()
    assert len(text) < 1500


@pytest.mark.parametrize("option", ["--seed", "--level", "--iterations"])
def test_numbers_that_no_field_holds(option, folder, capsys):
    with pytest.raises(SystemExit) as end:
        command_line(["train", "solver.prototxt", option, "99999999999999999999"])
    assert end.value.code == 2
    assert f"Invalid value for '{option}': 99999999999999999999 is not in the range" in capsys.readouterr().err


COMMANDS = [
    ("check", "{}"),
    ("check", "net.prototxt", "--weights", "{}"),
    ("train", "{}"),
    ("test", "net.prototxt", "--weights", "{}", "--iterations", "1"),
    ("time", "{}"),
    ("upgrade", "net", "{}", "out.prototxt"),
    ("draw", "{}", "out.png"),
    ("parse-log", "{}"),
    ("plot-log", "{}", "out.png"),
    ("convert-imageset", ".", "{}", "db"),
    ("compute-image-mean", "{}", "mean.binaryproto"),
    ("extract-features", "{}", "net.prototxt", "x", "features", "1"),
    ("plugins", "proto", "{}"),
    ("--log-json", "{}", "train", "solver.prototxt"),
    ("train", "solver.prototxt", "--resume", "{}"),
    ("train", "solver.prototxt", "--weights", "{}"),
]


@pytest.mark.parametrize(
    "path",
    ["missing/missing", "x" * 5000, "folder", "a\0b", "\udc80"],
    ids=["missing", "long", "folder", "NUL", "bytes"],
)
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_commands(arguments, path, folder, capsys):
    (folder / "net.prototxt").write_text(
        'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 dim: 2 } } } '
        'layer { name: "p" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 1 } }'
    )
    (folder / "solver.prototxt").write_text('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1')
    if "--log-json" in arguments and path == "\udc80":
        pytest.skip("a file may have that name")
    with pytest.raises(SystemExit) as end:
        command_line([argument.replace("{}", path) for argument in arguments])
    assert end.value.code == 1
    assert "error: " in (said := capsys.readouterr().err)
    assert len(said) < 5000
