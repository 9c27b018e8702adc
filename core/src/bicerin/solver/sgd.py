"""SGD: stochastic gradient descent with momentum."""

from __future__ import annotations

from bicerin.solver.solver import Solver
from bicerin.solver.step import Step


class SGDSolver(Solver):
    """h = momentum * h + rate * g; the update is h. Source: Caffe's `SGDSolver`."""

    type = "SGD"
    has_momentum_policy = True

    def update(self, step: Step) -> None:
        step.run(self.rules.sgd, self.momentum)
