"""RMSProp: the rate of each weight is divided by a running mean of its gradients' size."""

from __future__ import annotations

from bicerin.errors import SolverError
from bicerin.solver.solver import Solver
from bicerin.solver.step import Step


class RMSPropSolver(Solver):
    """h = rms_decay * h + (1 - rms_decay) * g²; the update is rate * g / (√h + delta).

    Source: Tieleman and Hinton, 2012; Caffe's `RMSPropSolver`.
    """

    type = "RMSProp"

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.param.momentum:
            raise SolverError("Momentum cannot be used with RMSProp.")
        if not 0 <= self.param.rms_decay < 1:
            raise SolverError(f"rms_decay should lie between 0 and 1 (1 excluded), not {self.param.rms_decay:g}.")

    def update(self, step: Step) -> None:
        decay = self.param.rms_decay
        step.run(self.rules.rmsprop, self.param.delta, decay, 1 - decay)
