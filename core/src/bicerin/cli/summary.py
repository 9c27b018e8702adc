"""What is said at the end of a training run."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from bicerin.cli.pace import images_per_step
from bicerin.net.hooks import hookimpl, plugins
from bicerin_proto.quotation import message_text

#: The pace is that of so many steps, the last ones.
_LATEST = 1000


@contextlib.contextmanager
def summary(source: str, options: Sequence[str] = ()) -> Iterator[None]:
    """Watch the solver that runs within the block, and print what came of it at the end.

    Args:
        source: the solver's file, for the command that goes on.
        options: of the command, which the one that goes on needs too.
    """
    watcher = Summary()
    plugins().register(watcher)
    try:
        yield
    finally:
        plugins().unregister(watcher)
    for line in watcher.lines(source, options):
        click.echo(message_text(line))


class Summary:
    """Hook implementations that keep what the summary tells."""

    def __init__(self) -> None:
        self.solver: Any = None
        self.tests: dict[int, tuple[int, dict[str, Any]]] = {}
        self.snapshot: Path | None = None
        self._steps: deque[float] = deque(maxlen=_LATEST)
        self._last = 0.0

    @hookimpl
    def bicerin_solver_start(self, solver: Any) -> None:
        self.solver = solver
        self._first = solver.iteration
        self._began = self._last = time.perf_counter()

    @hookimpl
    def bicerin_solver_step(self, solver: Any, loss: float) -> None:
        now = time.perf_counter()
        self._steps.append(now - self._last)
        self._last = now

    @hookimpl
    def bicerin_solver_stop(self, solver: Any) -> None:
        self._seconds = time.perf_counter() - self._began

    @hookimpl
    def bicerin_test_result(self, solver: Any, net_index: int, results: dict[str, Any]) -> None:
        self.tests[net_index] = (solver.iteration, results)

    @hookimpl
    def bicerin_snapshot(self, solver: Any, path: Path) -> None:
        self.snapshot = path

    def lines(self, source: str, options: Sequence[str] = ()) -> Iterator[str]:
        solver = self.solver
        done = solver.iteration - self._first
        # The median: the first steps compile kernels, and some test or snapshot.
        images, seconds = images_per_step(solver), median(self._steps or [0.0])
        pace = f", {images / seconds:.0f} images/s" if images and seconds else ""
        yield f"{done} iteration(s) in {timedelta(seconds=round(self._seconds))}{pace}; loss {solver.loss:.6g}"
        for index, (iteration, results) in sorted(self.tests.items()):
            yield f"test net #{index} at iteration {iteration}: {', '.join(_result(*one) for one in results.items())}"
        if self.snapshot is not None:
            yield f"snapshot: {self.snapshot}"
        if solver.stopped:
            yield f"stopped at iteration {solver.iteration} of {solver.param.max_iter}"
            if self.snapshot is not None:
                command = ["bicerin", "train", source, *options, "--resume", str(self.snapshot)]
                ranks = f", with {solver.parallel.size} ranks again" if solver.parallel is not None else " with"
                yield f"go on{ranks}: {shlex.join(command)}"


def _result(name: str, value: Any) -> str:
    if np.size(value) == 1:
        return f"{name} = {float(np.reshape(value, ())):.6g}"
    return f"{name} of shape {np.shape(value)}, mean {np.mean(value):.6g}"
