"""Record a training for `bicerin report`: all that --log-json writes, and how far the weights move."""

from __future__ import annotations

import logging
from os import PathLike
from typing import Any

import numpy as np

from bicerin.cli.json_log import JsonLog
from bicerin.net.hooks import hookimpl

_log = logging.getLogger("bicerin.report")


class Recording(JsonLog):
    """Hook implementations that append to a log, for `Solver(..., hooks=[Recording("run.jsonl")])`.

    Beside what `JsonLog` writes, every so many iterations one object
    `{"event": "weights", "iteration", "blobs": {"conv1 0": {"norm", "update", "dead"}}}`: of each learnable blob its L2
    norm, the norm of the last update, and how many of its units, the rows of its first axis, have nothing but zeros.

    Args:
        path: the file; what is in it stays.
        every: after how many iterations the weights are looked at; by default a hundred times up to `max_iter`.
    """

    def __init__(self, path: str | PathLike[str], every: int | None = None) -> None:
        super().__init__(str(path))
        self._every = every

    @hookimpl
    def bicerin_solver_step(self, solver: Any, loss: float) -> None:
        super().bicerin_solver_step(solver, loss)
        every = self._every if self._every is not None else max(1, solver.param.max_iter // 100)
        if every > 0 and solver.iteration % every == 0:
            self.write(event="weights", iteration=solver.iteration, blobs=_blobs(solver.net))


def _blobs(net: Any) -> dict[str, dict[str, float]]:
    found = {}
    for name, blobs in net.params.items():
        for position, blob in enumerate(blobs):
            if net.owns(blob):
                data = blob.read_only.data
                found[f"{name} {position}"] = {
                    "norm": norm(data),
                    "update": norm(blob.read_only.diff),  # where the update rules leave it
                    "dead": dead_units(data),
                }
    return found


def norm(array: np.ndarray) -> float:
    """The L2 norm, added up in float64 where there are many."""
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.sum(np.square(array, dtype=np.float64))))


def dead_units(array: np.ndarray) -> int:
    """How many rows of the first axis, the units of a layer, are zeros; 0 for one that is no matrix, such as a bias."""
    if array.ndim < 2 or not array.size:
        return 0
    return int((~array.reshape(len(array), -1).any(1)).sum())


def hooks(path: str) -> Recording:
    """What `bicerin train --record PATH` watches the training with."""
    return Recording(path)
