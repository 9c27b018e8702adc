"""The docstrings of layers have one form: the module says what is computed and where it comes from, the class the rest.

A module begins with the layer's type, `ReLU: y = ...`, and ends with a paragraph `Source: ...`: the program or paper
that defines the layer, and where this one differs from it.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def layers() -> list[tuple[str, str, Path]]:
    """Type, class and file of every layer of the packages."""
    found = []
    for path in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        entry_points = tomllib.loads(path.read_text("utf-8"))["project"].get("entry-points", {})
        for layer, value in entry_points.get("bicerin.layers", {}).items():
            module, _, cls = value.partition(":")
            found.append((layer, cls, path.parent / "src" / (module.replace(".", "/") + ".py")))
    return found


@pytest.mark.parametrize(("layer", "cls", "file"), layers(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_form(layer: str, cls: str, file: Path) -> None:
    module = ast.parse(file.read_text("utf-8"))
    text = ast.get_docstring(module) or ""
    first, *_, last = text.split("\n\n")
    assert re.match(rf"(.* and )?{layer}\b.*[:,]", first.partition("\n")[0]), first
    assert last.startswith("Source: "), last
    (found,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == cls)
    described = ast.get_docstring(found)
    assert described
    assert "Source: " not in described
