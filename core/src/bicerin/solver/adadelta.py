"""AdaDelta: updates in the units of the weights, from running means of gradients and of updates."""

from __future__ import annotations

from bicerin.solver.solver import Solver
from bicerin.solver.step import Step


class AdaDeltaSolver(Solver):
    """G = momentum * G + (1 - momentum) * g²; u = g * √((U + delta) / (G + delta)); U is to u what G is to g;
    the update is rate * u.

    Source: Zeiler, 2012; Caffe's `AdaDeltaSolver`. The histories are G and U.
    """

    type = "AdaDelta"
    histories = 2

    def update(self, step: Step) -> None:
        momentum = self.param.momentum
        step.run(self.rules.adadelta, self.param.delta, momentum, 1 - momentum)
