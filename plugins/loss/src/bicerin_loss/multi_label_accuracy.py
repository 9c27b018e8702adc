"""MultiLabelAccuracy: how well scores tell which of several labels an item has.

- bottom 0: scores; one of at least 0 says that the item has the label.
- bottom 1: targets, as many: at least 0.5 for a label that the item has; negative ones are unknown and do not count.
- top: shape (1, 5, 1, 1): the sensitivity TP / P, the specificity TN / N, the harmonic mean of the two, the precision
  TP / (TP + FP), and F1, the harmonic mean of precision and sensitivity. Where nothing is there to divide by, 0.

Source: jolibrain's `MultiLabelAccuracyLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class MultiLabelAccuracyLayer(Layer):
    """It has no gradient."""

    type = "MultiLabelAccuracy"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].count != bottom[1].count:
            raise ShapeError(f"there must be as many targets as scores: {bottom[1].count} against {bottom[0].count}.")
        top[0].reshape(1, 5, 1, 1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        score, target = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        said, has, known = score >= 0, target >= 0.5, target >= 0
        right, wrong = (said & has).sum(), (said & known & ~has).sum()
        positive, negative = has.sum(), (known & ~has).sum()
        sensitivity = self._share(right, positive)
        specificity = self._share(negative - wrong, negative)
        precision = self._share(right, right + wrong)
        values = (
            sensitivity,
            specificity,
            self._harmonic_mean(sensitivity, specificity),
            precision,
            self._harmonic_mean(precision, sensitivity),
        )
        top[0].data[...] = xp.stack(values).reshape(1, 5, 1, 1)

    def _share(self, part: Any, whole: Any) -> Any:
        return part.astype(np.float64) / self.xp.maximum(whole, 1)

    def _harmonic_mean(self, a: Any, b: Any) -> Any:
        return 2 * a * b / self.xp.maximum(a + b, np.finfo(np.float64).tiny)
