"""The tables in docs/onnx.md and docs/torch.md name every layer that is exported, and what its function refuses."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from bicerin_onnx.hooks import Hooks, hooks, torch_hooks

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("page", "registry"), [("onnx", hooks), ("torch", torch_hooks)])
def test_the_table_is_current(page: str, registry: Hooks) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    refusals = runpy.run_path(str(DOCS / "export_table.py"))["refusals"]
    lines = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in text.splitlines() if " | " in line}
    for name in registry.providers():
        assert name in lines, f"run `python docs/export_table.py`: {name} is missing"
        said = lines[name][2].strip()
        assert said == " ".join(refusals(registry.load(name))), f"run `python docs/export_table.py`: {name} has changed"
