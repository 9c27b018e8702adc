"""A package of somebody else's: what `bicerin plugins new` writes exports its layer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bicerin
import bicerin_onnx
from bicerin.schema.create_layer import create_layer
from bicerin_onnx.hooks import hooks

sys.path.insert(0, str(Path(__file__).parent))
from written_plugin import SHIFTING, checked, shown, written, written_by_the_page

SCRIPT = """
import bicerin, bicerin_onnx
net = bicerin.Net('''
    layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
    layer { name: "g" type: "SoftGate" bottom: "d" top: "g" soft_gate_param { threshold: 0.5
      weight_filler { type: "uniform" min: 1 max: 2 } } }
''', "TEST")
model = bicerin_onnx.export(net)
bicerin_onnx.verify(net, model, tolerance=1e-6)
print([node.op_type for node in model.graph.node], model.graph.input[0].type.tensor_type.shape.dim[2].dim_param)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return written("soft-gate", "SoftGate", tmp_path / "package")


def test_another_layer_of_a_known_type_is_not_exported_as_that_one(
    provided: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever brings a ReLU of another kind must say what it is."""
    provided.add("bicerin.layers", "ReLU", "bicerin_activation.sigmoid:SigmoidLayer", distribution="rival")
    layer = create_layer('type: "Sigmoid"')
    monkeypatch.setattr(type(layer), "type", "ReLU")
    assert hooks.of(layer) is None
    assert hooks.of(create_layer('type: "TanH"')) is not None


def test_the_template_passes_the_check(installed: Path) -> None:
    assert outcomes(installed, "soft-gate") == ["passed", "passed"]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("bias=layer.threshold", "bias=0.25", "in ONNX Runtime the top differs by"),
        ("layer.threshold", "layer.treshold", "the function that exports it raised AttributeError"),
        ("return ", "", "returned nothing, after it had made operations"),
    ],
)
def test_a_function_that_is_wrong_fails_the_check(installed: Path, right: str, wrong: str, said: str) -> None:
    file = next(installed.glob("*/to_onnx.py"))
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))
    failed = [one for one in checked(installed, "soft-gate") if one["outcome"] == "failed"]
    assert failed and all(said in one["detail"] for one in failed)


def test_the_layer_of_the_page_passes_the_check(tmp_path: Path) -> None:
    assert outcomes(written_by_the_page(tmp_path / "package"), "bicerin-snake") == ["passed", "passed"]


def outcomes(source: Path, name: str) -> list[str]:
    return [one["outcome"] for one in checked(source, name) if one["check"] == "onnx"]


def test_the_template_exports_its_layer(installed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['Shrink', 'Mul'] H\n"


def test_the_python_layer_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shifting.py").write_text(shown("python-layers")["shifting.py"], "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    net = bicerin.Net(SHIFTING, "TEST")
    model = bicerin_onnx.export(net)
    assert [node.op_type for node in model.graph.node] == ["Add"]
    bicerin_onnx.verify(net, model, tolerance=1e-6)
