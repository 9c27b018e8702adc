"""`bicerin upgrade`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import bicerin_proto
from bicerin.cli.command_line import command_line

V1_NET = """
# A comment.
name: "old"
input: "data" input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 4
layers { name: "relu" type: RELU bottom: "data" top: "data" }
"""


def upgrade(*arguments: object) -> Result:
    return CliRunner().invoke(command_line, ["upgrade", *map(str, arguments)])


def test_a_net(tmp_path: Path) -> None:
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text(V1_NET)
    result = upgrade("net", old, new)
    assert result.exit_code == 0
    assert "upgraded" in result.stdout
    document = bicerin_proto.read_net(new, upgrade=False)
    assert document.text is not None
    assert [layer.type for layer in document.message.layer] == ["Input", "ReLU"]
    assert f"{new} was up to date" in upgrade("net", new, new).stdout


def test_weights_stay_binary(tmp_path: Path) -> None:
    net = bicerin_proto.NetParameter(name="old")
    layer = net.layers.add(name="ip", type=bicerin_proto.V1LayerParameter.INNER_PRODUCT)
    bicerin_proto.array_blob(np.arange(6, dtype=np.float32).reshape(2, 3), into=layer.blobs.add())
    old, new, text = tmp_path / "old.caffemodel", tmp_path / "new.caffemodel", tmp_path / "new.prototxt"
    old.write_bytes(net.SerializeToString())
    assert upgrade("net", old, new).exit_code == 0
    (name, layer_type, blobs), *_ = bicerin_proto.read_weights(new)
    assert (name, layer_type) == ("ip", "InnerProduct")
    assert bicerin_proto.blob_array(blobs[0]).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert upgrade("net", old, text, "--text").exit_code == 0
    assert 'type: "InnerProduct"' in text.read_text()


def test_a_solver(tmp_path: Path) -> None:
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text('net: "net.prototxt" solver_type: ADAM base_lr: 0.5')
    assert upgrade("solver", old, new).exit_code == 0
    assert new.read_text() == 'base_lr: 0.5\nnet: "net.prototxt"\ntype: "Adam"\n', "nothing else is added"
    assert upgrade("solver", old, new, "--binary").exit_code == 0
    assert bicerin_proto.read_solver(new, upgrade=False).text is None


@pytest.mark.parametrize("text", ['name: "x', "layers { type: NO_SUCH }", ""])
def test_after_an_error_the_output_is_as_before(text: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text(text)
    new.write_text("kept")
    result = upgrade("net", old, tmp_path / "absent" / "x" if not text else new)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert new.read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 2
