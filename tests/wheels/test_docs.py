"""docs/write-a-layer-plugin.md: a stranger does what it says, and it works."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from clean_environment import ROOT, Environment

PAGE = ROOT / "docs" / "write-a-layer-plugin.md"

#: A block of the page, with the file that it is named to be before it, if it is.
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)


def steps() -> str:
    """The page as a shell script: its files are written and its commands run, in their order."""
    lines = ["set -eu"]
    for number, (file, language, text) in enumerate(BLOCK.findall(PAGE.read_text("utf-8"))):
        if file:
            lines += [f"cat > {file} <<'END OF FILE {number}'", text + f"END OF FILE {number}"]
        elif language == "sh":
            lines += ["set -x", text, "{ set +x; } 2> /dev/null"]
    return "\n".join(lines) + "\n"


def test_the_page_is_followed(new_environment: Callable[..., Environment], tmp_path: Path) -> None:
    environment = new_environment()
    script = steps()
    assert script.count("END OF FILE") >= 2 * 5  # Five files at least are named as the pattern has it.
    followed = environment.run("bash", "-c", script, cwd=tmp_path)
    for said in ("0 failed", "cpu: OK", "emulated: OK", "1.0066", "Successfully built", "No layer plugin is installed"):
        assert said in followed.stdout, f"{said}\n{followed.stdout}\n{followed.stderr}"
    by_tox = 1  # its tox.ini runs it too, and compares what the layer is in ONNX
    assert followed.stdout.count("0 failed") == script.count("bicerin plugins check bicerin-snake") + by_tox
    for command in ("pytest", "tox", "python -m build", "bicerin plugins proto"):
        assert f"\n+ {command}" in followed.stderr
    (wheel,) = (tmp_path / "bicerin-snake" / "dist").glob("*.whl")
    assert wheel.name == "bicerin_snake-0.1.0-py3-none-any.whl"


def test_every_command_of_the_page_is_run() -> None:
    """Whatever looks like a command in a block stands in a block that is run."""
    for file, language, text in BLOCK.findall(PAGE.read_text("utf-8")):
        if not file and language != "sh":
            assert not re.search(r"^\s*(pip|bicerin|python3?|tox|pytest|twine) ", text, re.M), text
