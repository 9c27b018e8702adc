"""Average precision: how well the detections of a class find its objects. Everingham et al., 2010.

With detections in the order of their scores, precision is the share of the first n that are right, and recall the share
of the objects that they find. The average precision is

    11point      the mean, over the recalls 0, 0.1 .. 1, of the best precision with that recall or more (VOC 2007)
    MaxIntegral  the area under the curve of these best precisions over recall (VOC 2012, ILSVRC)
    Integral     the area under the curve of precision over recall

Source: SSD's Caffe, whose solver chooses with `ap_version`. Precision and recall are float32, as there: a recall of 7
of 10 objects is less than 0.7.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from bicerin.errors import SolverError

_log = logging.getLogger("bicerin.ssd")

#: Recalls that are no further apart are one.
_LEAST = 1e-6


def average_precision(version: str, right: np.ndarray, objects: int) -> float:
    """Of one class; 0 where nothing was found or there is nothing to be found.

    Args:
        version: 11point, MaxIntegral or Integral.
        right: whether each detection is right, best score first, shape (D,).
        objects: how many there are to be found.
    """
    if not len(right) or not objects:
        return 0.0
    found = np.cumsum(right)
    precision = (found / np.arange(1, len(found) + 1)).astype(np.float32)
    recall = (found / objects).astype(np.float32)
    return _VERSIONS[version](precision, recall)


def _eleven_points(precision: np.ndarray, recall: np.ndarray) -> float:
    reached = recall.astype(np.float64)
    return sum(float(precision[reached >= point / 10].max(initial=0)) for point in range(11)) / 11


def _integral(precision: np.ndarray, recall: np.ndarray) -> float:
    gained = np.diff(recall.astype(np.float64), prepend=0)
    return float((precision * np.where(gained > _LEAST, gained, 0)).sum())


def _best_integral(precision: np.ndarray, recall: np.ndarray) -> float:
    return _integral(np.maximum.accumulate(precision[::-1])[::-1], recall)


_VERSIONS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "11point": _eleven_points,
    "MaxIntegral": _best_integral,
    "Integral": _integral,
}


def check_solver(param: Any) -> None:
    """Check the fields of a SolverParameter that say how detections are judged.

    Raises:
        SolverError: a name is unknown.
    """
    if param.eval_type not in ("classification", "detection"):
        raise SolverError(f'Unknown evaluation type: {param.eval_type}; it is "classification" or "detection".')
    if param.ap_version not in _VERSIONS:
        names = ", ".join(f'"{name}"' for name in _VERSIONS)
        raise SolverError(f"Unknown ap_version: {param.ap_version}; there are {names}.")


class MeanAveragePrecision:
    """Sums up the tables of a DetectionEvaluate layer: their mean average precision over all classes.

    Args:
        param: the SolverParameter: `ap_version`, and `show_per_class_result`, which logs that of each class.

    Raises:
        SolverError: the `ap_version` is unknown.
    """

    def __init__(self, param: Any) -> None:
        check_solver(param)
        self.version: str = param.ap_version
        self.shows_classes: bool = param.show_per_class_result
        self._tables: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        self._tables.append(values.reshape(-1, 5).copy())

    def result(self) -> float:
        by_class = self.by_class()
        if self.shows_classes:
            for label, precision in by_class.items():
                _log.info("class%d: %g", label, precision)
        return sum(by_class.values()) / len(by_class) if by_class else 0.0

    def by_class(self) -> dict[int, float]:
        """Label -> average precision. A class that was never detected has 0."""
        rows = np.concatenate(self._tables)
        labels = rows[:, 1].astype(np.int64)
        heads = rows[:, 0] == -1
        # Neither right nor wrong is what found a difficult object that does not count.
        judged = ~heads & (rows[:, 3:] != 0).any(axis=1)
        precisions = {}
        for label in np.unique(labels[heads]).tolist():
            own = rows[judged & (labels == label)]
            if not len(own):
                _log.warning("no detections of class %d", label)
            own = own[np.argsort(-own[:, 2], kind="stable")]
            objects = int(rows[heads & (labels == label), 2].sum())
            precisions[label] = average_precision(self.version, own[:, 3] == 1, objects)
        return precisions
