"""What is said at the end of a training run."""

from __future__ import annotations

import contextlib
import logging
import math
import shlex
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np

from bicerin.cli.pace import images_per_step
from bicerin.net.hooks import hookimpl, plugins
from bicerin_proto.quotation import message_text

_log = logging.getLogger("bicerin.cli")


@contextlib.contextmanager
def summary(source: str) -> Iterator[None]:
    """Watch the solver that runs within the block, and print what came of it at the end.

    Args:
        source: the solver's file, for the command that goes on.
    """
    watcher = Summary()
    plugins().register(watcher)
    try:
        yield
    finally:
        plugins().unregister(watcher)
    for line in watcher.lines(source):
        click.echo(message_text(line))


class Summary:
    """Hook implementations that keep what the summary tells, and warn of a loss that is no number."""

    def __init__(self) -> None:
        self.solver: Any = None
        self.tests: dict[int, tuple[int, dict[str, Any]]] = {}
        self.snapshot: Path | None = None
        self._warned = False

    @hookimpl
    def bicerin_solver_start(self, solver: Any) -> None:
        self.solver = solver
        self._first, self._began = solver.iteration, time.perf_counter()

    @hookimpl
    def bicerin_solver_step(self, solver: Any, loss: float) -> None:
        if not math.isfinite(loss) and not self._warned:
            self._warned = True
            _log.warning(
                "the loss of iteration %d is %g: training has diverged. A lower base_lr or clip_gradients may help.",
                solver.iteration - 1,
                loss,
            )

    @hookimpl
    def bicerin_solver_stop(self, solver: Any) -> None:
        self._seconds = time.perf_counter() - self._began

    @hookimpl
    def bicerin_test_result(self, solver: Any, net_index: int, results: dict[str, Any]) -> None:
        self.tests[net_index] = (solver.iteration, results)

    @hookimpl
    def bicerin_snapshot(self, solver: Any, path: Path) -> None:
        self.snapshot = path

    def lines(self, source: str) -> Iterator[str]:
        solver = self.solver
        done = solver.iteration - self._first
        images = done * images_per_step(solver)
        pace = f", {images / self._seconds:.0f} images/s" if images and self._seconds else ""
        yield f"{done} iteration(s) in {timedelta(seconds=round(self._seconds))}{pace}; loss {solver.loss:.6g}"
        for index, (iteration, results) in sorted(self.tests.items()):
            yield f"test net #{index} at iteration {iteration}: {', '.join(_result(*one) for one in results.items())}"
        if self.snapshot is not None:
            yield f"snapshot: {self.snapshot}"
        if solver.stopped:
            yield f"stopped at iteration {solver.iteration} of {solver.param.max_iter}"
            if self.snapshot is not None:
                command = ["bicerin", "train", source, "--resume", str(self.snapshot)]
                yield f"go on with: {shlex.join(command)}"


def _result(name: str, value: Any) -> str:
    if np.size(value) == 1:
        return f"{name} = {float(np.reshape(value, ())):.6g}"
    return f"{name} of shape {np.shape(value)}, mean {np.mean(value):.6g}"
