"""Mean average precision: how well detections find the objects of each class. Everingham et al., 2010.

With the detections of a class in the order of their scores, precision is the share of the first n that are right, and
recall the share of its objects that they find. The average precision is the area under the curve, over recall, of the
best precision with that recall or more.
"""

from __future__ import annotations

import numpy as np


class MeanAveragePrecision:
    """Sums up the tables of an EvalDetection layer: the mean over the classes that have objects.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._objects = np.zeros(classes)
        self._found: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        """A top of the layer, `(N, K + 4 P)`."""
        table = values.reshape(-1, values.shape[-1])
        self._objects += table[:, : self.classes].sum(axis=0)
        rows = table[:, self.classes :].reshape(-1, 4)
        # Neither right nor wrong is what found a difficult object, and what fills the table up.
        self._found.append(rows[(rows[:, 2:] != 0).any(axis=1)])

    def result(self) -> float:
        by_class = self.by_class()
        return sum(by_class.values()) / len(by_class) if by_class else 0.0

    def by_class(self) -> dict[int, float]:
        """Class -> average precision, of the classes that have objects."""
        rows = np.concatenate(self._found) if self._found else np.empty((0, 4))
        precisions = {}
        for label in np.flatnonzero(self._objects).tolist():
            own = rows[rows[:, 0] == label]
            right = own[np.argsort(-own[:, 1], kind="stable"), 2] == 1
            found = np.cumsum(right)
            precision = np.maximum.accumulate((found / np.arange(1, len(found) + 1))[::-1])[::-1]
            precisions[label] = float(precision[right].sum() / self._objects[label])
        return precisions
