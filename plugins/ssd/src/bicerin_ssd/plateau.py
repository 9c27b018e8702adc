"""The learning-rate policy "plateau": base_lr * gamma ** step, with a step down where the loss has stopped falling.

The step goes up by one when so many iterations have passed without a new least loss, and since the last step, as
`plateau_winsize` says, once for each step; after the last of them the rate stays. The loss is the mean of the last
`average_loss` iterations. Source: SSD's Caffe.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from bicerin.errors import SolverError
from bicerin.solver.learning_rate import LearningRatePolicy

_log = logging.getLogger("bicerin.ssd")

#: What the least loss starts with, in SSD's schema too.
_HIGHEST = 1e38


class PlateauPolicy(LearningRatePolicy):
    """See the module's text."""

    def __init__(self, param: Any) -> None:
        super().__init__(param)
        self.windows: list[int] = list(param.plateau_winsize)
        if param.gamma < 0:
            raise SolverError(f'lr_policy "plateau": gamma must be at least 0, not {param.gamma:g}.')
        if not self.windows:
            _log.warning('lr_policy "plateau": the solver gives no plateau_winsize; the rate stays what it is')
        self.minimum_loss = _HIGHEST
        #: The iteration of the last least loss, or of the last step.
        self.last_event = 0

    def rate(self, iteration: int, current_step: int) -> float:
        rate: float = self.param.base_lr * self.param.gamma**current_step
        return rate

    def observe(self, iteration: int, current_step: int, loss: float) -> int:
        if loss < self.minimum_loss:
            self.minimum_loss = loss
            self.last_event = iteration
        if current_step < len(self.windows) and iteration - self.last_event >= self.windows[current_step]:
            current_step += 1
            self.last_event = iteration
            _log.info("Plateau Status: Iteration %d, step = %d", iteration, current_step)
        display = self.param.display
        if display and iteration % display == 0 and self.last_event > iteration - display:
            _log.info("Plateau Status: Iteration %d, current minimum_loss = %g", iteration, self.minimum_loss)
        return current_step

    def state(self) -> Mapping[str, Any]:
        return {"minimum_loss": self.minimum_loss, "last_event": self.last_event}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        self.minimum_loss = float(state["minimum_loss"])
        self.last_event = int(state["last_event"])
