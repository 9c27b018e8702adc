"""Caffe itself, where its Python module is importable (not ours of the same name)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np


def available() -> str | None:
    if find_spec("caffe") is None:
        return None
    native = find_spec("caffe._caffe")
    if native is None or native.origin is None or not native.origin.endswith(".so"):
        return None
    import caffe

    return str(caffe.__version__)


class Peer:
    def __init__(self, folder: Path, train: bool, threads: int) -> None:
        import caffe
        from peers import facts
        from peers.bicerin import SOLVER

        self.train, self.names = train, facts(folder)["outputs"]
        path, weights = folder / "net.prototxt", folder / "net.caffemodel"
        if train:
            solver = folder / "caffe_solver.prototxt"
            solver.write_text(f'net: "{path}" {SOLVER} solver_mode: CPU\n')
            self.solver = caffe.SGDSolver(str(solver))
            self.net = self.solver.net
            self.net.copy_from(str(weights))
        else:
            self.net = caffe.Net(str(path), str(weights), caffe.TEST)

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        for name, array in inputs.items():
            self.net.blobs[name].data[...] = array
        if self.train:
            self.solver.step(1)
        else:
            self.net.forward()

    def outputs(self) -> dict[str, np.ndarray]:
        return {name: np.array(self.net.blobs[name].data) for name in self.names}
