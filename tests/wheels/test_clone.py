"""What the README says of a clone: `pip install .` installs everything that is in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from clean_environment import ROOT, Environment, uv

sys.path.insert(0, str(ROOT / "tools"))

import release


def test_everything_comes_from_the_clone(new_environment: Callable[..., Environment]) -> None:
    environment = new_environment()
    uv("pip", "install", "--python", environment.python, ".", cwd=ROOT)  # no wheels to find: only the folders
    listed = "import importlib.metadata as m, json; print(json.dumps({d.name: str(d.read_text('direct_url.json'))"
    found = json.loads(environment.script(f"{listed} for d in m.distributions()}}))").stdout)
    folders = {one.name: one.folder for one in release.distributions()}
    assert {name: json.loads(found[name])["url"] for name in folders} == {
        name: folder.as_uri() for name, folder in folders.items()
    }
    digits = ROOT / "examples" / "digits"
    options = ("--weights", digits / "digits.caffemodel", "--json", digits / "five.png")
    shown = environment.bicerin("predict", digits / "digits.prototxt", *options)
    assert json.loads(shown.stdout)[0]["predictions"][0]["label"] == "5"
