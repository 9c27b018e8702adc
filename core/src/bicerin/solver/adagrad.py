"""AdaGrad: the rate of each weight falls with the gradients that it has seen."""

from __future__ import annotations

from bicerin.errors import SolverError
from bicerin.solver.solver import Solver
from bicerin.solver.step import Step


class AdaGradSolver(Solver):
    """h = h + g²; the update is rate * g / (√h + delta). Source: Duchi et al., 2011; Caffe's `AdaGradSolver`."""

    type = "AdaGrad"

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.param.momentum:
            raise SolverError("Momentum cannot be used with AdaGrad.")

    def update(self, step: Step) -> None:
        step.run(self.rules.adagrad, self.param.delta)
