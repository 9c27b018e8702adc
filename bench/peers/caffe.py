"""Caffe itself, where its Python module is importable (not ours of the same name)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def available() -> str | None:
    try:
        import caffe
    except ImportError:
        return None
    return str(caffe.__version__) if hasattr(caffe, "_caffe") and not hasattr(caffe, "bicerin") else None


class Peer:
    def __init__(self, net: Any, weights: dict[str, list[np.ndarray]], train: bool, threads: int) -> None:
        import bicerin_proto
        import caffe
        from peers.bicerin import SOLVER

        self.train = train
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.prototxt"
            bicerin_proto.write_text(net, path)
            if train:
                solver = Path(folder) / "solver.prototxt"
                solver.write_text(f'net: "{path}" {SOLVER} solver_mode: CPU\n')
                self.solver = caffe.SGDSolver(str(solver))
                self.net = self.solver.net
            else:
                self.net = caffe.Net(str(path), caffe.TEST)
        for name, arrays in weights.items():
            for blob, array in zip(self.net.params[name], arrays, strict=True):
                blob.data[...] = array

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        for name, array in inputs.items():
            self.net.blobs[name].data[...] = array
        if self.train:
            self.solver.step(1)
        else:
            self.net.forward()

    def outputs(self) -> np.ndarray:
        return self.net.blobs["prob"].data
