"""A net in Netron: what is served is a model that says every shape."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bicerin.cli.command_line import command_line

NET = """
name: "small"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
"""


def view(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["view", "net.prototxt", "--no-browse", *arguments])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)


def test_the_model_that_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    import netron
    import onnx

    pages: list[bytes] = []
    started: list[Any] = []
    start = netron.start

    def recorded(file: str, **keywords: Any) -> Any:
        address = start(file, **keywords)
        started.append((Path(file), address))
        return address

    def wait() -> None:
        file, (host, port) = started[0]
        assert (host, file.name) == ("127.0.0.1", "net.onnx")
        pages.append(file.read_bytes())
        with urllib.request.urlopen(f"http://{host}:{port}/data/net.onnx", timeout=30) as answer:
            pages.append(answer.read())
        raise KeyboardInterrupt

    monkeypatch.setattr(netron, "start", recorded)
    monkeypatch.setattr(netron, "wait", wait)
    result = view()
    assert result.exit_code == 0, result.output
    written, served = pages
    assert served == written
    assert not started[0][0].exists(), "nothing stays behind"
    model = onnx.load_model_from_string(served)
    shapes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    assert shapes["data"] == [2, 3, 8, 8] and shapes["pool"] == [2, 4, 3, 3]
    assert [2, 4, 6, 6] in shapes.values()
    assert [node.op_type for node in model.graph.node] == ["Conv", "BatchNormalization", "Relu", "MaxPool"]


def test_without_netron(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "netron", None)
    result = view()
    assert result.exit_code == 1
    assert "Netron, which shows the net, is not installed: pip install 'bicerin-onnx[view]'" in result.stderr
