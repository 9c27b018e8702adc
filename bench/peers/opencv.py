"""OpenCV 4's dnn module, which still reads Caffe's files; inference only."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def available() -> str | None:
    try:
        import cv2
    except ImportError:
        return None
    return str(cv2.__version__) if hasattr(cv2.dnn, "readNetFromCaffe") else None


class Peer:
    def __init__(self, folder: Path, train: bool, threads: int) -> None:
        import cv2

        from peers import facts

        cv2.setNumThreads(threads)
        found = facts(folder)
        self.names, self.layers = found["outputs"], found["layers"]
        self.net = cv2.dnn.readNetFromCaffe(str(folder / "net.prototxt"), str(folder / "net.caffemodel"))

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        for name, array in inputs.items():
            self.net.setInput(array, name)
        self.results = self.net.forward(self.layers)

    def outputs(self) -> dict[str, np.ndarray]:
        return dict(zip(self.names, self.results, strict=True))
