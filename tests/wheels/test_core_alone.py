"""The core and nothing else: it says what is missing."""

from __future__ import annotations

import re
from pathlib import Path

from clean_environment import Environment


def test_there_are_no_plugins(core_alone: Environment) -> None:
    listed = core_alone.bicerin("plugins", "list").stdout
    assert "No layer plugin is installed" in listed
    assert 'pip install "bicerin[standard]"' in listed


def test_a_layer_that_no_plugin_brings(core_alone: Environment, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 9 dim: 9 } } }\n'
        'layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" }\n'
    )
    refused = core_alone.bicerin("test", "net.prototxt", cwd=tmp_path, status=1).stderr
    assert 'net.prototxt:2: layer "conv1": unknown layer type "Convolution"' in refused
    assert "pip install bicerin-convolution" in refused


def test_the_layers_of_the_core_pass_the_check(core_alone: Environment) -> None:
    checked = core_alone.bicerin("plugins", "check", "bicerin").stdout
    assert re.search(r"with 1 made-up bottom\(s\) \(2, 3, 8, 8\) it passes (\d+) of \1 checks", checked)
    assert "0 failed" in checked
