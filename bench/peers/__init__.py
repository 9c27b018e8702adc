"""What is measured beside each other: each module has `available()` and `Peer`.

A `Peer(folder, train, threads, **options)` reads the files of a `case`, and has `run(inputs)`, one forward pass or
training step, and `outputs()`, arrays by name: the net's outputs after a forward pass, or the losses of a step.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A peer.

    Attributes:
        module: of this package.
        trains: whether it can train.
        file: of the case, without which it cannot run.
        options: of its `Peer`.
    """

    module: str
    trains: bool = False
    file: str = "net.prototxt"
    options: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "bicerin": Kind("bicerin", trains=True),
    "optimize": Kind("bicerin", options={"optimize": True}),
    "no-engines": Kind("bicerin", options={"optimize": True, "engine": "caffe"}),
    "torch": Kind("torch", trains=True, file="net.py"),
    "torch-last": Kind("torch", trains=True, file="net.py", options={"channels_last": True}),
    "onnxruntime": Kind("onnxruntime", file="net.onnx"),
    "openvino": Kind("openvino", file="net.onnx"),
    "opencv": Kind("opencv"),
    "caffe": Kind("caffe", trains=True),
}


def available(name: str) -> str | None:
    """The peer's version; None where it is not installed."""
    version: str | None = importlib.import_module(f"peers.{KINDS[name].module}").available()
    return version


def make(name: str, folder: Path, train: bool, threads: int) -> Any:
    kind = KINDS[name]
    return importlib.import_module(f"peers.{kind.module}").Peer(folder, train, threads, **kind.options)


def facts(folder: Path) -> dict[str, Any]:
    """What `case.json` says."""
    found: dict[str, Any] = json.loads((folder / "case.json").read_text())
    return found
