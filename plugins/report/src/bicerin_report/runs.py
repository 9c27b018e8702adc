"""Training runs as the page shows them: curves from the logs of `bicerin train`, of its options, and of Caffe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.cli.training_log import Row, TrainingLog, read_log

#: A curve of more points is thinned out to about as many; its least and largest values stay.
MOST_POINTS = 2000

_OF_THE_LOG = ("NumIters", "Seconds", "LearningRate", "TestNet")
Data = dict[str, Any]
Curve = dict[str, list[float | int | None]]


def run_of(path: Path, max_iter: int | None = None) -> Data:
    """A run, from its log.

    Args:
        max_iter: where it is to end, if the log does not say.

    Raises:
        ProtoError, DataError: the file cannot be read, or is not a training log.
    """
    log = read_log(path)
    tests: dict[str, Curve] = {}
    for net in sorted({int(row.get("TestNet", 0)) for row in log.test}):
        rows = [row for row in log.test if row.get("TestNet", 0) == net]
        tests.update({f"{name} (test net {net})" if net else name: curve for name, curve in _outputs(rows).items()})
    seconds = curve(log.train, "Seconds")
    return {
        "name": path.name,
        "path": str(path),
        "max_iter": log.max_iter if log.max_iter is not None else max_iter,
        "images": log.images,
        "train": _outputs(log.train),
        "test": tests,
        "learning_rate": curve(log.train, "LearningRate"),
        "seconds": seconds,
        "pace": _pace(log),
        "iteration": _iteration(log),
        "snapshots": [list(one) for one in dict(log.snapshots).items()],
        "weights": _recorded(log.others),
    }


def _iteration(log: TrainingLog) -> int:
    """How many updates are done. A row of a JSON log is written after the update that its iteration does not count."""
    steps = [int(row["NumIters"]) + ("SmoothedLoss" not in row) for row in log.train]
    return max([*steps, *(int(row["NumIters"]) for row in log.test)], default=0)


def _outputs(rows: Sequence[Row]) -> dict[str, Curve]:
    names = dict.fromkeys(name for row in rows for name in row if name not in _OF_THE_LOG)
    if "loss" in names:  # which is not smoothed; the page smooths
        names.pop("SmoothedLoss", None)
    return {"loss" if name == "SmoothedLoss" else name: curve(rows, name) for name in names}


def curve(rows: Iterable[Row], name: str) -> Curve:
    """A column over the iterations. Of an iteration that came twice, as after a resume, the last value counts."""
    points = {int(row["NumIters"]): row[name] for row in rows if name in row}
    x = np.array(sorted(points), np.int64)
    y = np.array([points[i] for i in x.tolist()], np.float64)
    kept = thinned(y)
    return {"x": x[kept].tolist(), "y": [_rounded(value) for value in y[kept].tolist()]}


def thinned(values: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """The places of the values to keep: of each stretch its least and its largest, and the first and last of all."""
    if values.size <= most:
        return np.arange(values.size)
    parts = most // 2
    length = -(-values.size // parts)
    # A loss that is not a number is one of both.
    padded = np.full(parts * length, np.nan)
    padded[: values.size] = values
    stretches = padded.reshape(parts, length)
    base = np.arange(parts) * length
    least = base + np.where(np.isnan(stretches), np.inf, stretches).argmin(1)
    largest = base + np.where(np.isnan(stretches), -np.inf, stretches).argmax(1)
    lost = np.flatnonzero(np.isnan(values))[:most]
    kept = np.unique(np.concatenate([least, largest, lost, [0, values.size - 1]]))
    return np.asarray(kept[kept < values.size])


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _pace(log: TrainingLog) -> Curve:
    """Iterations a second, from one row to the next of about 50."""
    rows = [row for row in log.train if math.isfinite(row.get("Seconds", math.nan))]
    every = max(1, len(rows) // 50)
    rows = rows[::every]
    points = []
    for before, row in pairwise(rows):
        seconds, steps = row["Seconds"] - before["Seconds"], row["NumIters"] - before["NumIters"]
        if seconds > 0 and steps > 0:
            points.append({"NumIters": row["NumIters"], "pace": steps / seconds})
    return curve(points, "pace")


def _recorded(events: Sequence[Data]) -> Data | None:
    """What `bicerin train --record` wrote of the weights: layer -> norms and updates over the iterations."""
    found: dict[str, Data] = {}
    for event in events:
        if event.get("event") != "weights" or not isinstance(event.get("blobs"), dict):
            continue
        for name, values in event["blobs"].items():
            if isinstance(values, dict):
                one = found.setdefault(str(name), {"x": [], "norm": [], "update": [], "dead": []})
                one["x"].append(event.get("iteration"))
                for key in ("norm", "update", "dead"):
                    value = values.get(key)
                    one[key].append(value if isinstance(value, (int, float)) else None)
    return found or None
