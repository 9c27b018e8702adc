"""What stands in the log of a training run: ours, or one that Caffe wrote; the lines are the same.

    I1122 00:29:57.717021 16070 solver.cpp:218] Iteration 0 (0 iter/s, 0.5s/50 iters), loss = 2.37918
    I1122 00:29:57.717279 16070 solver.cpp:237]     Train net output #0: loss = 2.37918 (* 1 = 2.37918 loss)
    I1122 00:29:57.717348 16070 sgd_solver.cpp:105] Iteration 0, lr = 0.01
    I1122 00:29:54.187409 16070 solver.cpp:330] Iteration 0, Testing net (#0)
    I1122 00:29:57.072159 16070 solver.cpp:397]     Test net output #0: accuracy = 0.096

Only what follows the prefix matters, but for the time: a log without it has no seconds.

What `--log-json` wrote, which `json_log` describes, is read as well. Its steps are counted as here: a step's iteration
is that of the weights that it began with.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import bicerin_proto
from bicerin.errors import DataError
from bicerin_proto import printable

_NUMBER = r"([-+]?(?:[\d.]+(?:[eE][-+]?\d+)?|nan|inf))"
_ITERATION = re.compile(r"Iteration (\d+)")
_LEARNING_RATE = re.compile(rf"Iteration \d+, lr = {_NUMBER}")
_SMOOTHED_LOSS = re.compile(rf"Iteration \d+(?: \([^)]*\))?, loss = {_NUMBER}")
_OUTPUT = re.compile(rf"(Train|Test) net output #\d+: (\S+) = {_NUMBER}")
_TESTING = re.compile(r"Testing net \(#(\d+)\)")
_MAX_ITER = re.compile(r"^max_iter: (\d+)$")
_SNAPSHOT = re.compile(r"Snapshotting to (?:binary proto|HDF5) file (.+)$")
_TIME = re.compile(r"^[IWEF](\d{4}) (\d\d:\d\d:\d\d\.\d{1,6})")

Row = dict[str, float]
_OURS = ("SmoothedLoss", "TestNet")


@dataclass
class TrainingLog:
    """The rows of a log, in its order.

    Attributes:
        train: one for each displayed iteration: `NumIters`, `Seconds` since the log's first line, `LearningRate`,
            `SmoothedLoss`, and the train net's outputs.
        test: one for each test of each net: `NumIters`, `Seconds`, `LearningRate`, `TestNet`, and its outputs.
        snapshots: iteration and file, the weights' or the solver state's.
        max_iter: where the training is to end; None where the log does not say.
        images: how many a step takes; 0 where the log does not say.
        others: the objects of a JSON log that are of none of these kinds, as plugins write them.
    """

    train: list[Row] = field(default_factory=list)
    test: list[Row] = field(default_factory=list)
    snapshots: list[tuple[int, str]] = field(default_factory=list)
    max_iter: int | None = None
    images: int = 0
    others: list[dict[str, Any]] = field(default_factory=list)

    def columns(self, rows: list[Row]) -> list[str]:
        """The names in any of the rows: Caffe's in Caffe's order, then ours; `TestNet` only where there are several."""
        names = list(dict.fromkeys(name for row in rows for name in row if name not in _OURS))
        several = any(row.get("TestNet") for row in rows)
        return names + [name for name in _OURS if any(name in row for row in rows) and (name != "TestNet" or several)]


def read_log(path: Path) -> TrainingLog:
    """Read a log.

    Raises:
        ProtoError: the file cannot be read.
        DataError: there is nothing of a training run in it.
    """
    text = bicerin_proto.read_file(path).decode(errors="replace")
    is_json = text.lstrip().startswith("{")
    log = _parse_json(text, path) if is_json else _parse(text.splitlines())
    has_begun = is_json and log.max_iter is not None
    if not log.train and not log.test and not has_begun:
        raise DataError(f'{path}: not a training log: no line says "Iteration N, ... loss = ..." or "Test net output".')
    return log


def _parse(lines: Iterable[str]) -> TrainingLog:
    log = TrainingLog()
    clock = _Clock()
    rate = math.nan
    iteration: int | None = None
    train: Row | None = None
    test: Row | None = None
    for line in lines:
        seconds = clock.seconds(line)
        if (found := _ITERATION.search(line)) is not None:
            if int(found[1]) != iteration:
                train = None
            iteration = int(found[1])
        if (found := _MAX_ITER.match(line)) is not None:
            log.max_iter = int(found[1])
        if iteration is None:
            continue
        if (found := _SNAPSHOT.search(line)) is not None:
            log.snapshots.append((_iteration_of(found[1], iteration), found[1]))
        start: Row = {"NumIters": iteration, "Seconds": seconds, "LearningRate": rate}
        if (found := _TESTING.search(line)) is not None:
            test = {**start, "TestNet": int(found[1])}
            log.test.append(test)
        elif (found := _SMOOTHED_LOSS.search(line)) is not None:
            train = {**start, "SmoothedLoss": float(found[1])}
            log.train.append(train)
        elif (found := _LEARNING_RATE.search(line)) is not None:
            rate = float(found[1])
            if train is not None:
                train["LearningRate"] = rate  # Caffe says it after the row it belongs to
        elif (found := _OUTPUT.search(line)) is not None:
            row = train if found[1] == "Train" else test
            if row is not None:
                row[_free_name(row, found[2])] = float(found[3])
    _fill_first_rate(log)
    return log


def _parse_json(text: str, path: Path) -> TrainingLog:
    log = TrainingLog()
    seconds, rate = 0.0, math.nan
    # What stands after the last end of a line was not written to its end.
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            event = json.loads(line)
            kind = event["event"]
            if kind == "step":
                seconds, rate = seconds + _number(event["seconds"]), _number(event["learning_rate"])
                row: Row = {"NumIters": event["iteration"] - 1, "Seconds": seconds, "LearningRate": rate}
                log.train.append({**row, "loss": _number(event["loss"])})
            elif kind == "test":
                row = {"NumIters": event["iteration"], "Seconds": seconds, "LearningRate": rate}
                row["TestNet"] = int(event["net"])
                for name, values in event["results"].items():
                    for value in values if isinstance(values, list) else [values]:
                        row[_free_name(row, name)] = _number(value)
                log.test.append(row)
            elif kind == "start":
                log.max_iter, log.images = int(event["max_iter"]), int(event["images"])
            elif kind == "snapshot":
                log.snapshots.append((int(event["iteration"]), str(event["path"])))
            else:
                log.others.append(event)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DataError(f"{printable(path)}:{number}: not a line that --log-json writes.") from None
    _fill_first_rate(log)
    return log


def _iteration_of(path: str, otherwise: int) -> int:
    """The iteration that a snapshot's name ends with."""
    found = re.search(r"_iter_(\d+)\.", path)
    return int(found[1]) if found is not None else otherwise


def _number(value: float | None) -> float:
    """A number that is not finite is null there."""
    return math.nan if value is None else float(value)


def _free_name(row: Row, name: str) -> str:
    """An output of several elements has a line for each: out, out[1], out[2], ..."""
    count = sum(other == name or other.startswith(f"{name}[") for other in row)
    return f"{name}[{count}]" if count else name


def _fill_first_rate(log: TrainingLog) -> None:
    """A test before the first step stands before any learning rate; give it the first one."""
    first = next((row["LearningRate"] for row in log.train if not math.isnan(row["LearningRate"])), math.nan)
    for row in log.test:
        if math.isnan(row["LearningRate"]):
            row["LearningRate"] = first


class _Clock:
    """Seconds since the first line that has a time. No line names the year: a time that falls back is a new year's."""

    _YEAR = 2000  # Any leap year will do as the ruler.
    _DAYS = 366

    def __init__(self) -> None:
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._years = timedelta()

    def seconds(self, line: str) -> float:
        found = _TIME.match(line)
        if found is not None:
            now = self._time(found)
            if self._last is not None and self._last - now > timedelta(days=180):
                self._years += timedelta(days=self._DAYS)
                now = self._time(found)
            self._first = self._first or now
            self._last = now
        if self._first is None or self._last is None:
            return math.nan
        return (self._last - self._first).total_seconds()

    def _time(self, found: re.Match[str]) -> datetime:
        return datetime.strptime(f"{self._YEAR}{found[1]} {found[2]}", "%Y%m%d %H:%M:%S.%f") + self._years
