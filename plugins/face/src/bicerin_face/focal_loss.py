"""FocalLoss: SoftmaxWithLoss that cares less for what is classified well. Lin et al., "Focal loss", 2017.

Of each label, p being the probability that the softmax gives to its class,

- -(1 - p)^gamma · log p;
- with `type: ONEADDP`, -(alpha + p)^gamma · log p;
- with `balanced: true`, or an alpha other than 1, -alpha · (1 - p)^gamma · log p.

Bottoms, `ignore_label` and `normalization` are those of SoftmaxWithLoss, the classes along `softmax_param.axis`. p is
taken to be at least FLT_MIN. alpha is 1 unless given, or 0.25 with `balanced`.

Three forks have a layer of this name. They agree where alpha is 1. For happynear it is 1 unless given, for
makefile/frcnn and jolibrain 0.25, by which the loss is multiplied: say `balanced: true` in their nets that give no
alpha. happynear's (alpha - p)^gamma, whose gradient is right for an alpha of 1 alone, is not computed for others. As in
the forks, `beta` is not read.

Source: Lin et al., and the FocalLossLayers of happynear/caffe-windows, makefile/frcnn and jolibrain/caffe.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, enum_name
from bicerin_loss.probability_loss_layer import ProbabilityLossLayer

_log = logging.getLogger("bicerin.face")

FLT_MIN = float(np.finfo(np.float32).tiny)


class FocalLossLayer(ProbabilityLossLayer):
    """Bottom 0: scores, `(N, C, ...)`. Bottom 1: labels, `(N, ...)`. Top: `()`."""

    type = "FocalLoss"
    counts = BlobCounts(bottom=2, top=1, auto_top=True)
    axis_name = "softmax"

    @property
    def class_axis(self) -> int:
        axis: int = self.param.softmax_param.axis
        return axis

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        param = self.param.focal_loss_param
        kind = enum_name(param, "type", ("ORIGIN", "LINEAR", "ONEADDP"))
        if param.HasField("axis") and bottom[0].canonical_axis(param.axis) != bottom[0].canonical_axis(self.class_axis):
            raise LayerError(
                f"focal_loss_param: axis is {param.axis}, but the classes are along softmax_param's, {self.class_axis}."
            )
        self.gamma: float = param.gamma
        self.adds: bool = kind == "ONEADDP"
        if self.adds and param.balanced:
            raise LayerError("type: ONEADDP is happynear's, and balanced: true is for the others.")
        self.alpha: float = param.alpha if param.HasField("alpha") or not param.balanced else 0.25
        self.balanced: bool = not self.adds and (param.balanced or self.alpha != 1)
        if param.HasField("balanced") and not param.balanced and self.balanced:
            raise LayerError(
                f"alpha is {self.alpha:g}: (alpha - p)^gamma, without balanced, has no right gradient but for alpha: 1."
            )
        if not self.adds and not param.HasField("balanced") and (self.alpha != 1 or not param.HasField("alpha")):
            self._warn(param.HasField("alpha"))

    def _warn(self, given: bool) -> None:
        """Say which of two meanings the text is taken in, where nothing in it tells them apart."""
        if given:
            _log.warning(
                'layer "%s": FocalLoss with an alpha of %g multiplies the loss by it, as in makefile/frcnn and '
                "jolibrain's Caffe; happynear's takes (alpha - p)^gamma, which is not computed. "
                "focal_loss_param { balanced: true } says the first",
                self.name,
                self.alpha,
            )
        else:
            _log.warning(
                'layer "%s": FocalLoss without alpha takes it to be 1, as in happynear\'s fork; makefile/frcnn and '
                "jolibrain's Caffe multiply it by 0.25. Write focal_loss_param { balanced: true } for the second, "
                "balanced: false for the first",
                self.name,
            )

    def _chosen(self, probability: Any) -> tuple[Any, Any]:
        """The probability of each label's class, `(outer, inner)`, and which labels count."""
        chosen = self.xp.take_along_axis(probability, self.xp.maximum(self.labels, 0)[:, None, :], axis=1)[:, 0, :]
        return chosen, self.labels >= 0

    def total_loss(self, bottom: Sequence[Blob], probability: Any) -> Any:
        xp = self.xp
        p, counts = self._chosen(probability)
        power = (self.alpha + p if self.adds else xp.maximum(1 - p, 0)) ** self.gamma
        losses = xp.where(counts, -power * xp.log(xp.maximum(p, FLT_MIN)), 0)
        return losses.sum(dtype=np.float64) * (self.alpha if self.balanced else 1)

    def gradient(self, bottom: Sequence[Blob], probability: Any, scale: Any, diff: Any) -> None:
        """dL/dz = p dL/dp (own - softmax)."""
        xp = self.xp
        p, counts = self._chosen(probability)
        logarithm = xp.log(xp.maximum(p, FLT_MIN))
        if self.adds:
            slope = -self.gamma * p * logarithm * (self.alpha + p) ** (self.gamma - 1) - (self.alpha + p) ** self.gamma
        else:
            rest = xp.maximum(1 - p, FLT_MIN)
            slope = self.gamma * p * logarithm * rest ** (self.gamma - 1) - rest**self.gamma
        if self.balanced:
            slope = slope * self.alpha
        slope = xp.where(counts, slope, 0) * scale
        own = self.labels[:, None, :] == xp.arange(self.columns[1], dtype=np.int32)[:, None]
        diff[...] = slope[:, None, :] * (own - probability)
