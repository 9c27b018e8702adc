"""What a solver says of its progress, in Caffe's words, which log parsers know."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.net import Net

_log = logging.getLogger("bicerin.solver")


class Display:
    """Says how far a training is, and how fast it went since it last said so.

    Args:
        param: the SolverParameter.
    """

    def __init__(self, param: Any) -> None:
        self._param = param
        self.start(0)

    def start(self, iteration: int) -> None:
        """Measure the speed from here on."""
        self._since, self._iteration = time.perf_counter(), iteration

    def progress(self, net: Net, iteration: int, loss: float) -> None:
        """Say the iteration, the speed, the smoothed loss, and the train net's outputs."""
        elapsed = time.perf_counter() - self._since
        _log.info(
            "Iteration %d (%g iter/s, %gs/%d iters), loss = %g",
            iteration,
            (iteration - self._iteration) / (elapsed or 1),
            elapsed,
            self._param.display,
            loss,
        )
        self.start(iteration)
        self.outputs("Train", net, {name: net.blobs[name].read_only.data for name in net.outputs})

    @staticmethod
    def outputs(kind: str, net: Net, results: Mapping[str, np.ndarray]) -> None:
        """One line a number. `kind` is "Train" or "Test"."""
        number = 0
        for name, values in results.items():
            weight = net.loss_weight(name)
            for value in values.reshape(-1).tolist():
                loss = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
                _log.info("    %s net output #%d: %s = %g%s", kind, number, name, value, loss)
                number += 1
