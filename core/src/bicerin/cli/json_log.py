"""The JSON log of a training run: one object per line, for its start and for each step, test result and snapshot."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from bicerin.cli.json_text import json_text
from bicerin.cli.pace import images_per_step
from bicerin.errors import BicerinError
from bicerin.net.hooks import hookimpl, plugins
from bicerin_proto.quotation import printable, system_reason

_log = logging.getLogger("bicerin.cli")


class JsonLog:
    """Hook implementations that append to a file, while this is entered as a context.

    - the start: `{"event": "start", "iteration", "max_iter", "net", "images", "time"}`: `images` is how many a step
      takes, 0 where that is not known, `time` is in seconds since 1970;
    - a step: `{"event": "step", "iteration", "loss", "learning_rate", "seconds", "images_per_second"}`: `iteration`
      counts the updates done, `learning_rate` is what this one was done with, `seconds` what it took;
    - a test result: `{"event": "test", "iteration", "net", "results"}`;
    - a snapshot: `{"event": "snapshot", "iteration", "path"}`.

    A number that is not finite is null.

    Args:
        path: the file; what is in it stays.

    Raises:
        BicerinError: the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._name = printable(path)
        try:
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise BicerinError(f"{self._name}: cannot be written: {system_reason(error)}") from error
        self._failed = False
        self._last = time.perf_counter()
        self._rate = 0.0

    def __enter__(self) -> JsonLog:
        plugins().register(self)
        return self

    def __exit__(self, *exception: object) -> None:
        plugins().unregister(self)
        with contextlib.suppress(OSError):  # of what could not be written, which has been said
            self._file.close()

    @hookimpl
    def bicerin_solver_start(self, solver: Any) -> None:
        self._last = time.perf_counter()
        self._rate = solver.learning_rate
        self.write(
            event="start",
            iteration=solver.iteration,
            max_iter=solver.param.max_iter,
            net=solver.net.name,
            images=images_per_step(solver),
            time=time.time(),
        )

    @hookimpl
    def bicerin_solver_step(self, solver: Any, loss: float) -> None:
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self.write(
            event="step",
            iteration=solver.iteration,
            loss=loss,
            learning_rate=self._rate,
            seconds=seconds,
            images_per_second=images_per_step(solver) / seconds if seconds else None,
        )
        self._rate = solver.learning_rate  # of the coming step

    @hookimpl
    def bicerin_test_result(self, solver: Any, net_index: int, results: dict[str, Any]) -> None:
        self.write(event="test", iteration=solver.iteration, net=net_index, results=results)
        self._last = time.perf_counter()

    @hookimpl
    def bicerin_snapshot(self, solver: Any, path: Path) -> None:
        self.write(event="snapshot", iteration=solver.iteration, path=str(path))
        self._last = time.perf_counter()

    def write(self, **values: Any) -> None:
        """Append an object, unless the file can no longer be written."""
        if self._failed:
            return
        try:
            self._file.write(json_text(values) + "\n")
            self._file.flush()
        except OSError as error:
            self._failed = True
            _log.warning(
                "%s: can no longer be written: %s. Training goes on without this log.",
                self._name, system_reason(error),
            )  # fmt: skip
