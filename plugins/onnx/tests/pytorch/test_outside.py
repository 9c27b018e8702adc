"""A package of somebody else's: what it says of its layer for PyTorch is compared by `bicerin plugins check`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import bicerin
import bicerin_onnx
from bicerin_onnx import pytorch

sys.path.insert(0, str(Path(__file__).parents[1]))
from written_plugin import SHIFTING, checked, shown, written, written_by_the_page


def outcomes(source: Path, name: str) -> list[str]:
    return [one["outcome"] for one in checked(source, name) if one["check"] == "torch"]


def test_the_template_passes_the_check(tmp_path: Path) -> None:
    assert outcomes(written("soft-gate", "SoftGate", tmp_path / "package"), "soft-gate") == ["passed", "passed"]


def test_the_layer_of_the_page_passes_the_check(tmp_path: Path) -> None:
    assert outcomes(written_by_the_page(tmp_path / "package"), "bicerin-snake") == ["passed", "passed"]


def test_a_function_that_is_wrong_fails_the_check(tmp_path: Path) -> None:
    source = written("soft-gate", "SoftGate", tmp_path / "package")
    file = source / "soft_gate" / "to_torch.py"
    file.write_text(file.read_text("utf-8").replace("layer.threshold", "0.25"), "utf-8")
    failed = [one for one in checked(source, "soft-gate") if one["outcome"] == "failed"]
    assert failed and all("in PyTorch the top differs by" in one["detail"] for one in failed)


def test_the_python_layer_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shifting.py").write_text(shown("python-layers")["shifting.py"], "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    net = bicerin.Net(SHIFTING, "TEST")
    program = pytorch.export(net)
    bicerin_onnx.verify(net, program, tolerance=1e-6)
