"""Adam: running means of the gradient and of its square, corrected for their start at zero."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

from bicerin.errors import SolverError
from bicerin.solver.solver import Solver
from bicerin.solver.step import Step


class AdamSolver(Solver):
    """m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; the update is rate * √(1 - β₂ᵗ) / (1 - β₁ᵗ) * m / (√v + delta).

    β₁ is `momentum`, β₂ `momentum2`, t the number of the update from 1. Source: Kingma and Ba, 2015; Caffe's
    `AdamSolver`, which adds delta to the uncorrected root. The histories are m and v.
    """

    type = "Adam"
    histories = 2

    def check_parameters(self) -> None:
        super().check_parameters()
        for name in ("momentum", "momentum2"):
            if not 0 <= getattr(self.param, name) < 1:
                raise SolverError(f"{name} should lie between 0 and 1 (1 excluded), not {getattr(self.param, name):g}.")

    def update(self, step: Step) -> None:
        beta1, beta2, time = self.param.momentum, self.param.momentum2, self.iteration + 1
        correction = sqrt(1 - beta2**time) / (1 - beta1**time)
        scale, l2, l1, rate = step.terms
        corrected = replace(step, terms=(scale, l2, l1, step.scalar(rate * correction)))
        corrected.run(self.rules.adam, self.param.delta, beta1, 1 - beta1, beta2, 1 - beta2)
