"""Ourselves."""

from __future__ import annotations

from typing import Any

import numpy as np

SOLVER = 'base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0005 display: 0 max_iter: 1000000'


def available() -> str | None:
    import bicerin

    return bicerin.__version__


class Peer:
    def __init__(self, net: Any, weights: dict[str, list[np.ndarray]], train: bool, threads: int) -> None:
        import bicerin
        import bicerin_proto

        self.train = train
        if train:
            solver = bicerin_proto.SolverParameter()
            bicerin_proto.parse_text(SOLVER, solver, bicerin_proto.default_schema())
            solver.net_param.CopyFrom(net)
            self.solver = bicerin.Solver(solver)
            self.net = self.solver.net
        else:
            self.net = bicerin.Net(net, phase="TEST")
        for name, arrays in weights.items():
            for blob, array in zip(self.net.params[name], arrays, strict=True):
                blob.data[...] = array

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        for name, array in inputs.items():
            self.net.blobs[name].data[...] = array
        if self.train:
            self.solver.step(1)
        else:
            self.net.run_forward()

    def outputs(self) -> np.ndarray:
        return self.net.blobs["prob"].data
