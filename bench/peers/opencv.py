"""OpenCV 4's dnn module, which still reads Caffe's files; inference only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def available() -> str | None:
    try:
        import cv2
    except ImportError:
        return None
    return str(cv2.__version__) if hasattr(cv2.dnn, "readNetFromCaffe") else None


class Peer:
    def __init__(self, net: Any, weights: dict[str, list[np.ndarray]], train: bool, threads: int) -> None:
        import cv2

        import bicerin_proto

        cv2.setNumThreads(threads)
        trained = type(net)()
        trained.CopyFrom(net)
        for layer in trained.layer:
            for array in weights.get(layer.name, ()):
                bicerin_proto.array_blob(array, into=layer.blobs.add())
        with tempfile.TemporaryDirectory() as folder:
            text, binary = Path(folder) / "net.prototxt", Path(folder) / "net.caffemodel"
            bicerin_proto.write_text(net, text)
            bicerin_proto.write_binary(trained, binary)
            self.net = cv2.dnn.readNetFromCaffe(str(text), str(binary))

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        self.net.setInput(inputs["data"], "data")
        self.result = self.net.forward()

    def outputs(self) -> np.ndarray:
        return self.result
