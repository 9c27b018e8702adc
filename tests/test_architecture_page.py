"""docs/architecture.md says what there is: the rooms of the core, the groups of entry points, the names of a layer."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import numpy as np

from bicerin.layer import Blob
from bicerin.layer.layer import Layer
from bicerin.testing import run_layer

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_rooms() -> None:
    rooms = runpy.run_path(str(ROOT / "core/tests/test_rooms.py"))["ROOMS"]
    assert re.findall(r"^\| `(\w+)/?` \|", section("Who imports whom"), re.MULTILINE) == rooms
    numbers = {12: "twelve", 13: "thirteen", 14: "fourteen"}
    assert f"The core has {numbers[len(rooms)]} rooms." in PAGE


def test_the_groups_of_entry_points() -> None:
    used = set()
    for path in ROOT.glob("**/pyproject.toml"):
        if ".tox" not in path.parts and ".venv" not in path.parts:
            used |= tomllib.loads(path.read_text("utf-8")).get("project", {}).get("entry-points", {}).keys()
    for path in ROOT.glob("core/src/**/*.py"):
        used |= set(re.findall(r'Registry\(\s*"(bicerin\.\w+)"', path.read_text("utf-8")))
    first_columns = re.findall(r"^\| (`bicerin\..*?) \|", section("Discovery"), re.MULTILINE)
    told = {name for column in first_columns for name in re.findall(r"`(bicerin\.\w+)`", column)}
    assert {name for name in used if name.startswith("bicerin.")} <= told
    assert told <= used | {"bicerin.fillers", "bicerin.checks", "bicerin.plugins"}


def test_the_names_of_a_layer_and_of_its_blobs() -> None:
    """What a subclass sees: 26 public names, and of a blob two arrays."""
    layer = run_layer('type: "Split"', [np.ones((2, 3))]).layer
    names = {name for name in {*dir(Layer), *Layer.__annotations__, *_given(layer)} if not name.startswith("_")}
    said = re.search(r"sees (\d+) public names", PAGE)
    assert said is not None and len(names) == int(said[1]) <= 26, sorted(names)
    view = Blob((2, 3)).on(layer._side)
    arrays = {name for name in dir(view) if not name.startswith("_") and isinstance(getattr(view, name), np.ndarray)}
    assert arrays == {"data", "diff"}


def _given(layer: Layer) -> set[str]:
    """What `Layer` itself gives an instance."""
    plain = type("Plain", (type(layer),), {"layer_set_up": lambda self, bottom, top: None})
    return set(vars(plain(layer.param, layer.context)))
