"""Packages that `bicerin plugins new` writes, as if they were installed: for the tests of what they export."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from bicerin.cli.command_line import command_line

DOCS = Path(__file__).parents[3] / "docs"

#: A file that a page shows.
FILE = re.compile(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", re.M | re.S)


#: A net with the layer of docs/python-layers.md that says what it is elsewhere.
SHIFTING = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "shifted" type: "Python" bottom: "data" top: "shifted"
  python_param { module: "shifting" layer: "Shifting" param_str: "0.3" } }
"""


def shown(page: str) -> dict[str, str]:
    """The files of a page of the documentation, by their names."""
    return dict(FILE.findall((DOCS / f"{page}.md").read_text("utf-8")))


def _bicerin(*arguments: str | Path) -> None:
    done = CliRunner().invoke(command_line, list(map(str, arguments)))
    assert done.exit_code == 0, done.output


def written(name: str, layer_type: str, folder: Path) -> Path:
    """The package's source folder, with the metadata that an installer would write beside it."""
    _bicerin("plugins", "new", name, "--layer", layer_type, "--directory", folder)
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = folder / "src" / f"{name.replace('-', '_')}-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 0.1.0\n")
    groups = project["entry-points"].items()
    text = "".join(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in groups)
    (metadata / "entry_points.txt").write_text(text)
    return folder / "src"


def written_by_the_page(folder: Path) -> Path:
    """The package of docs/write-a-layer-plugin.md, with the files that the page has instead of the template's."""
    source = written("bicerin-snake", "Snake", folder)
    for file, text in shown("write-a-layer-plugin").items():
        (folder / file).write_text(text, "utf-8")
    _bicerin("plugins", "proto", source / "bicerin_snake" / "snake.proto")
    return source


def checked(source: Path, name: str) -> list[dict[str, Any]]:
    """What `bicerin plugins check` finds."""
    program = "from bicerin.cli.command_line import command_line; command_line()"
    done = subprocess.run(
        [sys.executable, "-c", program, "plugins", "check", name, "--device", "cpu", "--json"],
        env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    failed = [one for one in findings if one["outcome"] == "failed"]
    assert done.returncode == (1 if failed else 0), done.stdout + done.stderr
    return findings
