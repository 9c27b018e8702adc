"""`bicerin plugins list`."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.errors import ConflictError
from bicerin.kernels import COMPILED
from bicerin.testing import CHECKS


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
        "from bicerin.layer import Layer\n"
        "from bicerin.layer import BlobCounts, Layer, at_least\n"
        "class Host(Layer):\n"
        "    type = 'Host'\n"
        "    counts = BlobCounts(bottom=2, top=1, auto_top=True)\n"
        "    def reshape(self, bottom, top): ...\n"
        "    def forward_cpu(self, bottom, top): ...\n"
        "class Array(Layer):\n"
        "    type = 'Array'\n"
        "    counts = BlobCounts(bottom=at_least(1), top=at_least(1), equal=True)\n"
        "    def reshape(self, bottom, top): ...\n"
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
    sys.modules.pop("lazy_layers", None)
    assert "1 (automatic)" in table and "1+ (as bottoms)" in table
    assert "xavier" in table


def test_operation_by_operation_what_each_device_runs(
    core_alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "working_plugin"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "layers.py").write_text(
        "from bicerin import BlobCounts, Layer, Operations\n"
        "class Working(Layer):\n"
        "    type = 'Working'\n"
        "    counts = BlobCounts(bottom=1, top=1)\n"
        "    def reshape(self, bottom, top): ...\n"
        "    operations = Operations('working_kernels')\n"
        "class Reading(Working):\n"
        "    type = 'Reading'\n"
        "    runs_on = 'host'\n"
        "class Twin(Layer):\n"
        "    type = 'Twin'\n"
        "    counts = BlobCounts(bottom=1, top=1)\n"
        "    def reshape(self, bottom, top): ...\n"
        "    def forward_cpu(self, bottom, top): ...\n"
        "    def forward_gpu(self, bottom, top): ...\n"
        "class Host(Layer):\n"
        "    type = 'Host'\n"
        "    counts = BlobCounts(bottom=1, top=1)\n"
        "    def reshape(self, bottom, top): ...\n"
        "    def forward_cpu(self, bottom, top): ...\n"
    )
    (package / "working_kernels.py").write_text(
        "from bicerin.kernels import array_operation, host_operation, operation\n"
        "@operation(reference=lambda x: None)\n"
        "def sort(x): x[0] = 1\n"
        "@array_operation\n"
        "def add(xp, x): ...\n"
        "@host_operation\n"
        "def walk(x): ...\n"
        "@walk.cuda\n"
        "def walk_cuda(kernels, x): ...\n"
        "@host_operation(compiled=True)\n"
        "def gather(x): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("Working", "Reading", "Twin", "Host"):
        core_alone.add("bicerin.layers", name, f"working_plugin.layers:{name}")
    cpu = "compiled: sort, gather; array: add, walk" if COMPILED else "array: sort, add, walk, gather"
    gpu = "CUDA C: walk; array: add; on the CPU: sort, gather"
    runs = {name: row(listed("--verbose"), name)["runs"] for name in ("Working", "Reading", "Twin", "Host")}
    assert runs["Working"] == {"cpu": cpu, "gpu": gpu}
    assert runs["Reading"] == {"cpu": cpu, "gpu": "always on the CPU"}
    assert runs["Twin"] == {"cpu": "own code", "gpu": "own code"}
    assert runs["Host"] == {"cpu": "own code", "gpu": "runs on the CPU"}
    (line,) = [line for line in run("--verbose").stdout.splitlines() if line.startswith("Working")]
    assert cpu in line and gpu in line
    for module in [module for module in sys.modules if module.startswith("working_plugin")]:
        del sys.modules[module]


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
    assert "is not a bicerin.Layer" in row(listed("--verbose"), "Path")["failure"]


def test_hidden_plugins_are_named(core_alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_DISABLE_PLUGINS", "bicerin-pooling")
    assert "BICERIN_DISABLE_PLUGINS hides: bicerin-pooling" in run().stdout
    assert listed()["disabled"] == ["bicerin-pooling"]


def test_a_schema_that_is_missing(core_alone: Any) -> None:
    core_alone.add("bicerin.schemas", "lost", "bicerin.nowhere:lost.binpb", "lost-plugin", "0.4")
    (schema,) = listed()["schemas"]
    assert (schema["distribution"], schema["entry_point"]) == ("lost-plugin", "bicerin.nowhere:lost.binpb")
    assert "failure: lost-plugin 0.4: the schema bicerin.nowhere:lost.binpb is missing" in run().stdout


class TestCheck:
    """`bicerin plugins check` of plugins that are not what they say."""

    MODULE = (
        "from bicerin.layer import Layer\n"
        "from bicerin.layer import BlobCounts\n"
        "from bicerin.testing import layer_case\n"
        "class Doubling(Layer):\n"
        "    type = 'Doubling'\n"
        "    counts = BlobCounts(bottom=1, top=1)\n"
        "    def reshape(self, bottom, top):\n"
        "        top[0].reshape_like(bottom[0])\n"
        "    def forward(self, bottom, top):\n"
        "        top[0].data[...] = 2 * bottom[0].data\n"
        "    def backward(self, top, propagate_down, bottom):\n"
        "        bottom[0].diff[...] = 2 * top[0].diff\n"
        "class Untested(Doubling):\n"
        "    type = 'Untested'\n"
        "CASES = [layer_case('rows', 'type: \"Doubling\"', [(2, 3)], without={'threads': 'a reason'})]\n"
        "OTHERS = [layer_case('not ours', 'type: \"Split\"', [(2, 3)])]\n"
    )

    @pytest.fixture
    def doubling(self, core_alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        (tmp_path / "doubling_layers.py").write_text(self.MODULE)
        monkeypatch.syspath_prepend(tmp_path)
        sys.modules.pop("doubling_layers", None)
        core_alone.add("bicerin.layers", "Doubling", "doubling_layers:Doubling", "bicerin-doubling")
        return core_alone

    @staticmethod
    def check(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(command_line, ["plugins", "check", "bicerin-doubling", *arguments])
        assert result.exit_code == status, result.output
        return result

    def test_its_cases_are_run(self, doubling: Any) -> None:
        doubling.add("bicerin.cases", "doubling", "doubling_layers:CASES", "bicerin-doubling")
        doubling.add("bicerin.layers", "Untested", "doubling_layers:Untested", "bicerin-doubling")
        result = self.check("--json", "--device", "cpu", status=1)
        found = json.loads(result.stdout)["findings"]
        failed = {(one["case"], one["check"]) for one in found if one["outcome"] == "failed"}
        assert failed == {("rows", "propagate_down"), ("rows", "gradients")}
        (left_out,) = [one for one in found if one["check"] == "threads"]
        assert (left_out["outcome"], left_out["detail"]) == ("note", "does not apply: a reason")
        (made_up,) = [one for one in found if one["check"] == "made-up case"]
        assert made_up["subject"] == "layer Untested"
        assert f"passes {len(CHECKS) - 2} of {len(CHECKS)} checks; not propagate_down" in made_up["detail"]
        table = self.check("--device", "cpu", status=1).stdout
        assert "bottom 0 has propagate_down False, but was written" in table
        assert "2 failed" in table and "Traceback" not in table

    def test_cases_of_other_layers_and_cases_that_are_not_there(self, doubling: Any) -> None:
        doubling.add("bicerin.cases", "others", "doubling_layers:OTHERS", "bicerin-doubling")
        assert '"Split" is not a layer of this plugin' in self.check(status=1).stdout
        doubling.add("bicerin.cases", "lost", "doubling_layers:LOST", "bicerin-doubling")
        assert "has no attribute 'LOST'" in self.check(status=1).stdout

    def test_another_layer_api_and_a_missing_schema(self, doubling: Any) -> None:
        doubling.index["bicerin.layers"].pop("Doubling")
        doubling.add("bicerin.layers", "Doubling", "never_imported:Doubling", "bicerin-doubling", api=7)
        doubling.add("bicerin.schemas", "doubling", "nowhere:doubling.binpb", "bicerin-doubling", api=7)
        table = self.check(status=1).stdout
        assert "written for 7; this core has 1" in table
        assert "the schema nowhere:doubling.binpb is missing" in table

    def test_another_provider_of_the_type_does_not_matter(self, doubling: Any) -> None:
        doubling.add("bicerin.layers", "Doubling", "never_imported:Doubling", "bicerin-another")
        doubling.add("bicerin.cases", "doubling", "doubling_layers:CASES", "bicerin-doubling")
        table = self.check(status=1).stdout
        assert "also brought by bicerin-another 1.0" in table
        assert "2 failed" in table

    def test_a_plugin_that_is_not_installed(self, core_alone: Any) -> None:
        result = CliRunner().invoke(command_line, ["plugins", "check", "bicerinn"])
        assert result.exit_code == 1
        assert 'no plugin bicerinn is installed. Did you mean "bicerin"?' in result.stderr

    def test_a_distribution_that_is_no_plugin(self, core_alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def said() -> str:
            result = CliRunner().invoke(command_line, ["plugins", "check", "click"])
            assert result.exit_code == 1
            return " ".join(result.stderr.split())

        assert said().endswith("click is installed, but brings no layers or anything else of a plugin's.")
        monkeypatch.setenv("BICERIN_DISABLE_PLUGINS", "click")
        assert "no plugin click is installed. BICERIN_DISABLE_PLUGINS hides it." in said()


class TestRivals:
    """A second plugin of a type that another brings, on purpose."""

    def test_is_asked_for(self, core_alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        new = ["plugins", "new", "bicerin-quick"]
        result = CliRunner().invoke(command_line, [*new, "--layer", "Split"])
        assert result.exit_code == 2
        assert "is brought by bicerin; choose another, or give --rival" in result.stderr
        malformed = CliRunner().invoke(command_line, [*new, "--layer", "my layer"]).stderr
        assert "such as FocalLoss; choose another." in malformed.replace("\n", " ")
        assert "--rival needs --layer TYPE" in CliRunner().invoke(command_line, [*new, "--rival"]).stderr

    def test_works_beside_the_other(self, core_alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        result = CliRunner().invoke(command_line, ["plugins", "new", "bicerin-quick", "--layer", "Split", "--rival"])
        assert result.exit_code == 0, result.output
        folder = tmp_path / "bicerin-quick"
        monkeypatch.syspath_prepend(folder / "src")
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        for group, entries in project["entry-points"].items():
            for name, value in entries.items():
                if group != "bicerin.layer_api":
                    core_alone.add(group, name, value, "bicerin-quick")
        assert list(project["entry-points"]["bicerin.layers"]) == ["Split"]
        assert 'with choosing({"Split": "bicerin-quick"})' in (folder / "tests" / "conftest.py").read_text()
        net = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } } '
        net += 'layer { name: "s" type: "Split" bottom: "x" top: "y" quick_param { threshold: 2 } }'
        try:
            made = bicerin.Net(net, layer_providers={"Split": "bicerin-quick"})
            assert made.forward(x=[[-5, 1]])["y"].tolist() == [[-3, 0]]
            with pytest.raises(ConflictError, match="--provider Split=bicerin on the command line, "):
                bicerin.Net(net)
        finally:
            for module in [module for module in sys.modules if module.startswith("bicerin_quick")]:
                del sys.modules[module]
