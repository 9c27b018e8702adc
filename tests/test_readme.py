"""The top of the README: what it shows is what its code and its first command print, and its picture is drawn anew."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import bicerin
from bicerin.cli.command_line import command_line

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DIGITS = ROOT / "examples" / "digits"
CODE, COMMAND = README.split("\n    python3 -m venv")[:2]
COMMAND = f"python3 -m venv{COMMAND}"


def shown(text: str) -> list[list[str]]:
    """The words of each line of the first block of output."""
    (block, *_) = re.findall(r"```text\n(.*?)```", text, re.S)
    return [line.split() for line in block.splitlines()]


def same(words: list[list[str]], printed: str) -> bool:
    """Whether a text has these words; scores may differ in their last places."""
    lines = [line.split() for line in printed.splitlines()]
    return len(lines) == len(words) and all(map(_same_line, words, lines))


def _same_line(left: list[str], right: list[str]) -> bool:
    number = re.compile(r"\d\.\d+")
    return len(left) == len(right) and all(
        abs(float(a) - float(b)) < 2e-3 if number.fullmatch(a) and number.fullmatch(b) else a == b
        for a, b in zip(left, right, strict=True)
    )


@pytest.fixture(autouse=True)
def in_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_code_prints_what_is_shown() -> None:
    (code, *_) = re.findall(r"```python\n(.*?)```", CODE, re.S)
    assert len([line for line in code.splitlines() if line]) <= 6
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert same(shown(CODE), printed.getvalue()), printed.getvalue()


def test_the_first_command_prints_what_is_shown() -> None:
    """What comes after the installation, which tests/wheels does."""
    install, program = COMMAND.splitlines()[0].rsplit(" && ", 1)
    assert install == "python3 -m venv .venv && .venv/bin/pip install -q ."
    name, *arguments = shlex.split(program)
    assert name == ".venv/bin/bicerin"
    *options, pattern = arguments
    files = sorted(os.path.relpath(path, ROOT) for path in ROOT.glob(pattern))
    result = CliRunner().invoke(command_line, [*options, *files])
    assert result.exit_code == 0 and not result.stderr, result.stderr
    assert same(shown(COMMAND), result.stdout), result.stdout


def test_the_picture_is_of_that_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(sys, "argv", ["picture.py", str(DIGITS / "nine.png"), str(tmp_path / "picture.png")])
    runpy.run_path(str(DIGITS / "picture.py"), run_name="__main__")
    now, then = (cv2.imread(str(path)) for path in (tmp_path / "picture.png", ROOT / "docs" / "figures" / "digit.png"))
    assert now.shape[0] == then.shape[0] and abs(now.shape[1] - then.shape[1]) < 20
    assert "](docs/figures/digit.png)" in README


def test_the_net_tells_digits_that_it_was_not_trained_on() -> None:
    with np.load(ROOT / "examples" / "mnist" / "digits.npz") as found:
        images, labels = found["images"][8_500:], found["labels"][8_500:]
    net = bicerin.Net(DIGITS / "digits.prototxt", weights=DIGITS / "digits.caffemodel")
    found_labels: Any = net.forward(data=images[:, None] / 256)["prob"].argmax(axis=1)
    accuracy = float((found_labels == labels).mean())
    assert f"{accuracy:.3f}" in (DIGITS / "README.md").read_text("utf-8")


def test_the_net_to_use_is_the_net_that_was_trained() -> None:
    trained, used = ((DIGITS / f"{name}.prototxt").read_text("utf-8") for name in ("train_test", "digits"))
    body = re.compile(r'layer \{\n  name: "conv1".*?name: "scores".*?\n\}\n', re.S)
    assert body.findall(trained) == body.findall(used) != []
