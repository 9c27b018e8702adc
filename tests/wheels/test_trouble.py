"""Plugins in conflict and in trouble: only who uses them is told, and told why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from clean_environment import Environment
from third_party import Plugin

FILL = """
from bicerin import Layer, BlobCounts


class Fill(Layer):
    type = "Fill"
    counts = BlobCounts(bottom=1, top=1)

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = {value}
"""
FIRST = Plugin("fill-first", FILL.format(value=1), {"Fill": "Fill"}, version="1.2")
SECOND = Plugin(
    "fill-second",
    FILL.format(value="self.param.fill_param.value"),
    {"Fill": "Fill"},
    'syntax = "proto2";\npackage fill;\nmessage FillParameter { optional float value = 1 [default = 2]; }\n'
    "message LayerParameter { optional FillParameter fill_param = 147; }\n",
    version="3.4",
)
RAISING = Plugin("raises", 'raise OSError("no driver on this machine")\n', {"Raising": "Raising"})
EXITING = Plugin("exits", 'import sys\nsys.exit("wants out")\n', {"Exiting": "Exiting"})
NEEDY = Plugin("needs", "import a_module_that_nobody_has\n", {"Needy": "Needy"})
NEWER = Plugin("newer", 'raise RuntimeError("must not be imported")\n', {"Newer": "Newer"}, api=99)
WRONG = Plugin("wrong-type", FILL.format(value=1), {"Filled": "Fill"})

DATA = 'layer { name: "data" type: "DummyData" top: "data" dummy_data_param { shape { dim: 2 } } }\n'


def net(folder: Path, layer_type: str) -> str:
    name = f"{layer_type}.prototxt"
    (folder / name).write_text(f'{DATA}layer {{ name: "x" type: "{layer_type}" bottom: "data" top: "x" }}\n')
    return name


def output(environment: Environment, *arguments: str, cwd: Path, **variables: str) -> float:
    done = environment.bicerin("test", "--json", "--iterations", "1", *arguments, cwd=cwd, **variables)
    value: list[float] = json.loads(done.stdout)["outputs"]["x"]
    return value[0]


def test_two_distributions_bring_one_type(installed: Callable[..., Environment], tmp_path: Path) -> None:
    environment = installed(FIRST, SECOND)
    quiet = environment.script(
        "import bicerin, warnings; bicerin.Net("
        """'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 2 } } }'"""
        "); import sys; print(sorted(name for name in sys.modules if name.startswith('fill')))"
    )
    assert (quiet.stdout, quiet.stderr) == ("[]\n", "")

    fill = net(tmp_path, "Fill")
    refused = environment.bicerin("test", fill, cwd=tmp_path, status=1)
    for said in (f'{fill}:2: layer "x"', "fill-first 1.2", "fill-second 3.4", "layer_providers"):
        assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    conflicts = json.loads(environment.bicerin("plugins", "list", "--json").stdout)["conflicts"]
    assert {"kind": "layer type", "name": "Fill", "distributions": ["fill-first", "fill-second"], "chosen": None} in (
        conflicts
    )

    assert output(environment, fill, "--provider", "Fill=fill-first", cwd=tmp_path) == 1
    assert output(environment, fill, "--provider", "Fill=Fill_Second", cwd=tmp_path) == 2
    assert output(environment, fill, cwd=tmp_path, BICERIN_DISABLE_PLUGINS="fill-first") == 2
    config = tmp_path / "config.toml"
    config.write_text('[layer_providers]\nFill = "fill-second"\n')
    assert output(environment, fill, cwd=tmp_path, BICERIN_CONFIG=str(config)) == 2
    chosen = environment.script(
        f"import bicerin; print(bicerin.Net({fill!r}, layer_providers={{'Fill': 'fill-first'}}).forward()['x'][0])",
        tmp_path,
    )
    assert chosen.stdout == "1.0\n"
    checked = environment.bicerin("plugins", "check", "fill-second")
    assert "also brought by fill-first 1.2" in checked.stdout


@pytest.fixture
def troubled(installed: Callable[..., Environment]) -> Environment:
    return installed(RAISING, EXITING, NEEDY, NEWER, WRONG)


def test_what_is_broken_hurts_only_who_uses_it(troubled: Environment, tmp_path: Path) -> None:
    relu = net(tmp_path, "ReLU")
    assert output(troubled, relu, cwd=tmp_path) == 0
    for layer_type, said in {
        "Raising": ("raises 1.0", "OSError: no driver on this machine"),
        "Exiting": ("exits 1.0", "SystemExit: wants out"),
        "Needy": ("needs 1.0", 'It needs the module "a_module_that_nobody_has", which is not installed'),
        "Newer": ("newer 1.0", "layer API 99; this core has 1. Upgrade bicerin."),
        "Filled": ("wrong-type 1.0", 'the type "Fill", but its entry point is named "Filled"'),
    }.items():
        refused = troubled.bicerin("test", net(tmp_path, layer_type), cwd=tmp_path, status=1)
        for part in (f'{layer_type}.prototxt:2: layer "x"', *said):
            assert part in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr

    layers = {
        row["type"]: row
        for row in json.loads(troubled.bicerin("plugins", "list", "--json", "--verbose").stdout)["layers"]
    }
    assert layers["ReLU"]["failure"] is None and layers["ReLU"]["bottom"] == "1"
    for layer_type in ("Raising", "Exiting", "Needy", "Newer", "Filled"):
        assert layers[layer_type]["failure"]

    checked = troubled.bicerin("plugins", "check", "raises", status=1)
    assert "no driver on this machine" in checked.stdout
    assert "1 failed" in checked.stdout
    unknown = troubled.bicerin("plugins", "check", "raise", status=1)
    assert 'Did you mean "raises"?' in unknown.stderr
