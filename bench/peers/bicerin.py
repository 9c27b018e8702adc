"""Ourselves, as a user gets it who has the engines that are installed, or with `optimize=True`, or without engines."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

SOLVER = 'base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0005 display: 0 max_iter: 1000000'


def available() -> str | None:
    import bicerin
    from bicerin.errors import BicerinError

    with suppress(ImportError, BicerinError):
        from bicerin_onednn.library import library

        return f"{bicerin.__version__}, oneDNN {library().version}"
    return bicerin.__version__


class Peer:
    def __init__(
        self, folder: Path, train: bool, threads: int, optimize: bool = False, engine: str | None = None
    ) -> None:
        if engine is not None:
            os.environ["BICERIN_ENGINE"] = engine
        import bicerin
        from peers import facts

        self.train, self.names = train, facts(folder)["outputs"]
        weights = folder / "net.caffemodel"
        if train:
            solver = folder / "solver.prototxt"
            solver.write_text(f'net: "{folder / "net.prototxt"}" {SOLVER}\n')
            self.solver = bicerin.Solver(solver)
            self.net = self.solver.net
            self.net.load_weights(weights)
        else:
            self.net = bicerin.Net(folder / "net.prototxt", phase="TEST", weights=weights, optimize=optimize)

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        for name, array in inputs.items():
            self.net.blobs[name].data[...] = array
        if self.train:
            self.solver.step(1)
        else:
            self.net.run_forward()

    def outputs(self) -> dict[str, np.ndarray]:
        return {name: np.array(self.net.blobs[name].data) for name in self.names}
