"""docs/train-on-your-images.md: its commands are run in their order, and what they print is what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "train-on-your-images.md"

#: A block of the page, with the file that it is named to be before it, if it is.
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)


class Step(NamedTuple):
    command: list[str]
    shown: str
    printed: str


def followed(page: Path, folder: Path) -> list[Step]:
    """Do what a page says, in `folder`: its commands, with the output that it shows after each and what was printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    steps: list[Step] = []
    for file, language, text in BLOCK.findall(page.read_text("utf-8")):
        if file:
            (folder / file).write_text(text)
        elif language == "text":
            steps[-1] = steps[-1]._replace(shown=text)
        else:
            command = ["bash", "-euc", text] if language == "sh" else ["python", "-c", text]
            done = subprocess.run(
                command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            steps.append(Step(command, "", done.stdout))
    return steps


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip(" ─")]


def test_what_the_page_says_is_so(tmp_path: Path) -> None:
    """Two hundred images of two classes: more than nine in ten new ones are told right."""
    steps = {step.command[-1].split("\n")[0]: step for step in followed(PAGE, tmp_path)}
    init = steps["bicerin init shapes project"]
    assert init.printed == init.shown
    assert "accuracy = " in steps["bicerin train project/solver.prototxt --log-json run.jsonl"].printed
    report = (tmp_path / "report.html").read_text("utf-8")
    assert "<html" in report and all(name in report for name in ("conv2", "circle", "square"))
    (predicted,) = (step for command, step in steps.items() if command.startswith("bicerin predict"))
    for shown, printed in zip(rows(predicted.shown), rows(predicted.printed), strict=True):
        assert shown[0::2] == printed[0::2]
        assert shown[1] == printed[1] or abs(float(shown[1]) - float(printed[1])) < 0.1
    (python,) = (step for step in steps.values() if step.command[0] == "python")
    accuracy = re.fullmatch(r"(\d+)% of 40 new images\n", python.printed)
    assert accuracy is not None and int(accuracy[1]) > 90
    (listed,) = (step for command, step in steps.items() if command.startswith("bicerin list-images"))
    assert rows(listed.printed) == rows(listed.shown)
    assert sorted(path.name for path in (tmp_path / "project").iterdir() if "_iter_" not in path.name) == sorted(
        {
            name
            for line in PAGE.read_text().splitlines()
            if line.startswith("| `")
            for name in re.findall(r"`([\w.]+)`", line)
        }
        - {"transform_param"}
    )
