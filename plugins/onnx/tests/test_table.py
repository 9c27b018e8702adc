"""The table in docs/onnx.md names every layer that is exported, and what its function refuses."""

from __future__ import annotations

import runpy
from pathlib import Path

from bicerin_onnx.hooks import hooks

DOCS = Path(__file__).parents[3] / "docs"


def test_the_table_is_current() -> None:
    page = (DOCS / "onnx.md").read_text(encoding="utf-8")
    refusals = runpy.run_path(str(DOCS / "onnx_table.py"))["refusals"]
    lines = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in page.splitlines() if " | " in line}
    for name in hooks.providers():
        assert name in lines, f"run `python docs/onnx_table.py`: {name} is missing"
        said = lines[name][2].strip()
        assert said == " ".join(refusals(hooks.load(name))), f"run `python docs/onnx_table.py`: {name} has changed"
