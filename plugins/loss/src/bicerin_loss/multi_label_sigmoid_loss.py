"""MultiLabelSigmoidLoss: SigmoidCrossEntropyLoss over the targets that are not negative; these are unknown.

- bottom 0: scores, shape (N, ...).
- bottom 1: targets from 0 to 1, or negative, as many, with the same first axis.
- top: the loss, shape (): the sum over the known targets, divided by their number, at least 1.

Source: jolibrain's `MultiLabelSigmoidLossLayer`. As there, the gradient is that of the sum divided by N, not by the
number of known targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, BlobCounts
from bicerin_loss.labels import divisor
from bicerin_loss.sigmoid_cross_entropy_loss import SigmoidCrossEntropyLossLayer


class MultiLabelSigmoidLossLayer(SigmoidCrossEntropyLossLayer):
    """The gradient with respect to x is s - t, 0 where t is negative, divided by N."""

    type = "MultiLabelSigmoidLoss"
    counts = BlobCounts(bottom=2, top=1, auto_top=True)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self.skips = True
        self.normalization = "VALID"

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().forward(bottom, top)
        self.divisor = divisor(self.xp, "BATCH_SIZE", self.outer, self.inner, 0)

    def _valid(self, xp: Any, target: Any) -> Any:
        return target >= 0
