"""`bicerin plugins list`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bicerin.cli.command_line import command_line


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["plugins", "list", *arguments])


def listed(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("--json", *arguments).stdout)
    return found


def row(found: dict[str, Any], layer_type: str) -> dict[str, Any]:
    (only,) = [layer for layer in found["layers"] if layer["type"] == layer_type]
    return only


@pytest.fixture
def core_alone(provided: Any) -> Any:
    """The index as it is where only the core is installed."""
    for group, names in list(provided.index.items()):
        provided.index[group] = {
            name: found for name, found in names.items() if {p.distribution for p in found} == {"bicerin"}
        }
    return provided


def test_says_so_where_no_plugin_is_installed(core_alone: Any) -> None:
    result = run()
    assert "No layer plugin is installed" in result.stdout
    assert 'pip install "bicerin[standard]"' in result.stdout
    assert [layer["type"] for layer in listed()["layers"]] == ["Input", "Split"]


def test_a_table_and_json_of_the_same(core_alone: Any) -> None:
    core_alone.add("bicerin.layers", "Affine", "affine_plugin:AffineLayer", "bicerin-affine", "2.5")
    result = run()
    assert "No layer plugin" not in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("Affine")]
    assert line.split() == ["Affine", "bicerin-affine", "2.5"]
    assert row(listed(), "Affine") == {
        "type": "Affine",
        "distribution": "bicerin-affine",
        "version": "2.5",
        "entry_point": "affine_plugin:AffineLayer",
        "layer_api": 1,
        "failure": None,
    }
    assert {"group": "bicerin.devices", "name": "cpu"}.items() <= listed()["others"][0].items()


def test_classes_are_imported_only_when_asked(core_alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_layers.py").write_text(
        "from bicerin.layer import ArrayLayer, BlobCounts, Layer, at_least\n"
        "class Host(Layer):\n"
        "    type = 'Host'\n"
        "    counts = BlobCounts(bottom=2, top=1, auto_top=True)\n"
        "class Array(ArrayLayer):\n"
        "    type = 'Array'\n"
        "    counts = BlobCounts(bottom=at_least(1), top=at_least(1), equal=True)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("Host", "Array"):
        core_alone.add("bicerin.layers", name, f"lazy_layers:{name}")
    run()
    listed()
    assert "lazy_layers" not in sys.modules
    found = listed("--verbose")
    del sys.modules["lazy_layers"]
    assert row(found, "Host") | {"bottom": "2", "top": "1", "auto_top": True, "devices": ["cpu"]} == row(found, "Host")
    array = {"bottom": "1+", "top": "1+", "equal": True, "devices": ["cpu", "gpu"]}
    assert row(found, "Array") | array == row(found, "Array")
    table = run("--verbose").stdout
    del sys.modules["lazy_layers"]
    assert "1 (automatic)" in table and "1+ (as bottoms)" in table
    assert "xavier" in table


def test_failures_and_conflicts(core_alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raising_layers.py").write_text("raise OSError('no such library')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BICERIN_CONFIG", str(tmp_path / "config.toml"))
    core_alone.add("bicerin.layers", "Raising", "raising_layers:Raising")
    core_alone.add("bicerin.layers", "Newer", "newer:Newer", "bicerin-newer", api=99)
    core_alone.add("bicerin.layers", "Twice", "a:Twice", "bicerin-a")
    core_alone.add("bicerin.layers", "Twice", "b:Twice", "bicerin-b")

    found = listed()
    assert row(found, "Raising")["failure"] is None, "nothing was imported"
    assert "layer API 99" in row(found, "Newer")["failure"]
    assert {"kind": "layer type", "name": "Twice", "distributions": ["bicerin-a", "bicerin-b"], "chosen": None} in (
        found["conflicts"]
    )
    assert "no such library" in row(listed("--verbose"), "Raising")["failure"]
    result = run("--verbose")
    assert result.exit_code == 0
    assert 'conflict: layer type "Twice" is brought by bicerin-a and bicerin-b: using it is an error' in result.stdout
    assert "failure: test-plugin 1.0 cannot be imported" in result.stdout

    (tmp_path / "config.toml").write_text('[layer_providers]\nTwice = "bicerin-b"\n')
    assert "bicerin-b is chosen" in run().stdout


def test_what_is_no_layer(core_alone: Any) -> None:
    core_alone.add("bicerin.layers", "Path", "pathlib:Path")
    assert "is no bicerin.Layer" in row(listed("--verbose"), "Path")["failure"]


def test_hidden_plugins_are_named(core_alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_DISABLE_PLUGINS", "bicerin-pooling")
    assert "BICERIN_DISABLE_PLUGINS hides: bicerin-pooling" in run().stdout
    assert listed()["disabled"] == ["bicerin-pooling"]
