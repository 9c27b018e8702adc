"""What is said about the packages of this repository is so: who brings what, and what their descriptors hold."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

import pytest

from bicerin_proto import Schema, check_current
from bicerin_proto.distribution import fields, layer_distribution, layer_types
from bicerin_proto.fragment import Fragment

ROOT = Path(__file__).parents[1]
SCHEMAS = sorted(
    path
    for folder in (ROOT / "core", ROOT / "proto", *(ROOT / "plugins").iterdir())
    for path in folder.glob("src/**/*.proto")
    if path.with_suffix(".binpb").is_file()
)
PACKS = {path.parent.name.replace("_", "-"): path for path in SCHEMAS if ROOT / "plugins" in path.parents}


def test_the_schemas_are_found() -> None:
    assert {"caffe.proto", "rcnn.proto", "ssd.proto", "mobile.proto", "forks.proto"} <= {path.name for path in SCHEMAS}


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_compiled_schemas_are_current(path: Path) -> None:
    assert check_current(path), f"compile it: bicerin plugins proto {path.relative_to(ROOT)}"


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_every_compiled_schema_is_an_entry_point(path: Path) -> None:
    folder = next(parent for parent in path.parents if (parent / "pyproject.toml").is_file())
    groups = tomllib.loads((folder / "pyproject.toml").read_text())["project"].get("entry-points", {})
    stated = set(groups.get("bicerin.schemas", {}).values())
    own = path.parent.name == "bicerin_proto"
    assert own or f"{path.parent.name}:{path.stem}.binpb" in stated


def test_layers_are_known_by_their_distribution() -> None:
    brought = {}
    for file in chain([ROOT / "core" / "pyproject.toml"], ROOT.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(file.read_text())["project"]
        brought |= dict.fromkeys(project.get("entry-points", {}).get("bicerin.layers", {}), project["name"])
    assert {name: layer_distribution(name) for name in layer_types()} == brought


def test_fields_are_known_by_their_distribution() -> None:
    brought = {
        added: distribution
        for distribution, path in PACKS.items()
        for added in Schema.merged([Fragment(distribution, path.with_suffix(".binpb").read_bytes())]).added
    }
    assert fields() == brought
