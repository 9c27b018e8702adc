"""The JSON log of a training run: an object a line for each step, test result and snapshot."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from bicerin.cli.pace import images_per_step
from bicerin.errors import BicerinError
from bicerin.hooks import hookimpl, plugins


class JsonLog:
    """Hook implementations that append to a file, while this is entered as a context.

    A step: `{"event": "step", "iteration", "loss", "learning_rate", "seconds", "images_per_second"}`, where `iteration`
    counts the updates done and `seconds` is the time of this step. A test result: `{"event": "test", "iteration",
    "net", "results"}`. A snapshot: `{"event": "snapshot", "iteration", "path"}`. A number that is not finite is null.

    Args:
        path: the file; what is in it stays.

    Raises:
        BicerinError: the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        try:
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise BicerinError(f"{path}: cannot be written: {error.strerror}") from error
        self._last = time.perf_counter()

    def __enter__(self) -> JsonLog:
        plugins().register(self)
        return self

    def __exit__(self, *exception: object) -> None:
        plugins().unregister(self)
        self._file.close()

    @hookimpl
    def bicerin_solver_start(self, solver: Any) -> None:
        self._last = time.perf_counter()

    @hookimpl
    def bicerin_solver_step(self, solver: Any, loss: float) -> None:
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self._write(
            event="step",
            iteration=solver.iteration,
            loss=loss,
            learning_rate=solver.learning_rate,
            seconds=seconds,
            images_per_second=images_per_step(solver) / seconds if seconds else None,
        )

    @hookimpl
    def bicerin_test_result(self, solver: Any, net_index: int, results: dict[str, Any]) -> None:
        self._write(event="test", iteration=solver.iteration, net=net_index, results=results)
        self._last = time.perf_counter()

    @hookimpl
    def bicerin_snapshot(self, solver: Any, path: Path) -> None:
        self._write(event="snapshot", iteration=solver.iteration, path=str(path))
        self._last = time.perf_counter()

    def _write(self, **values: Any) -> None:
        self._file.write(json.dumps(_plain(values), allow_nan=False) + "\n")
        self._file.flush()


def _plain(value: Any) -> Any:
    """Lists and numbers of Python; None for what JSON has no number for."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
