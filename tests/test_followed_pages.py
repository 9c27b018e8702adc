"""The pages that lead through something: their files are written, their commands and code run, in their order."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
#: A block of a page, with the file that it is named to be before it, if it is.
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)


def followed(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Do what a page says in a folder, where CLONE is the repository; what its blocks of text show, they are to print.

    Returns:
        All that its commands have printed.
    """
    monkeypatch.chdir(folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names: dict[str, Any] = {"__name__": "page"}
    printed = everything = ""
    for file, language, text in BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text("utf-8")):
        text = text.replace("CLONE", str(ROOT))
        if file:
            (folder / file).write_text(text, "utf-8")
            monkeypatch.delitem(sys.modules, Path(file).stem, raising=False)
        elif language == "text":
            assert _words(text) == _words(printed), f"{name}.md shows what was not printed: {printed}"
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, f"{name}.md", "exec"), names)
            printed = out.getvalue()
        else:
            done = subprocess.run(
                ["bash", "-euc", text],
                cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            printed = done.stdout
            everything += printed
    return everything


def _words(text: str) -> list[str]:
    return text.replace("─", " ").split()


def accuracies(log: Path) -> list[float]:
    events = map(json.loads, log.read_text("utf-8").splitlines())
    return [event["results"]["accuracy"] for event in events if event["event"] == "test"]


def test_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy of what the clone has: it trains in the folder of the example."""
    for name in ("digits", "mnist"):
        shutil.copytree(ROOT / "examples" / name, tmp_path / "examples" / name, ignore=shutil.ignore_patterns("*_lmdb"))
    said = followed("start", tmp_path, monkeypatch)
    assert "20 iteration(s)" in said and "20,522" in said


def test_fine_tuning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed("fine-tune", tmp_path, monkeypatch)
    tuned, anew = accuracies(tmp_path / "run.jsonl"), accuracies(tmp_path / "anew.jsonl")
    assert tuned[-1] > 0.95 and tuned[1] > anew[1], "and it is ahead from the beginning"


def test_training_from_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = followed("train-from-scratch", tmp_path, monkeypatch)
    assert accuracies(tmp_path / "run.jsonl")[-1] > 0.9
    assert said.count("snapshot: small_iter_400.solverstate") == 2, "what was resumed is done"


def test_python_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed("python-layers", tmp_path, monkeypatch)
