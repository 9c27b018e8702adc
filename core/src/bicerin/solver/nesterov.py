"""Nesterov: the gradient where the momentum leads."""

from __future__ import annotations

from bicerin.solver.solver import Solver
from bicerin.solver.step import Step


class NesterovSolver(Solver):
    """h' = momentum * h + rate * g; the update is (1 + momentum) * h' - momentum * h.

    Source: Sutskever et al., 2013; Caffe's `NesterovSolver`.
    """

    type = "Nesterov"
    has_momentum_policy = True

    def update(self, step: Step) -> None:
        step.run(self.rules.nesterov, self.momentum)
