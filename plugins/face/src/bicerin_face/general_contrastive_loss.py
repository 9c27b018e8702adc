"""GeneralContrastiveLoss: small distances from the own class, large ones from all others.

top = Σ (own + other) / N, over the distances x of N items from K classes:

- own = positive_weight · min(max(x - positive_margin, 0), positive_outlier_thresh)
- other = negative_weight · max(negative_margin - x, 0), or with `exp_negative_weight`, where x < negative_margin,
  negative_weight · e^-x

Of the others `max_negative_only` keeps each item's nearest class, and `positive_first` keeps none while the distance
from the own class is greater than `positive_upper_bound`. With `normalize_negative` their gradient, and not the loss,
is divided by S = their sum / N / normalize_negative, where S > positive_weight.

Source: the GeneralContrastiveLossLayer of happynear/caffe-windows, without `max_positive_only` and `add_intra_mae`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, Operations, between
from bicerin_face.distance_loss import DistanceLossLayer
from bicerin_face.labels import own_class


class GeneralContrastiveLossLayer(DistanceLossLayer):
    """Bottom 0: distances, `(N, K)`. Bottom 1: labels, N of them. Top 0: `()`. Top 1, optional: the mean of the own
    terms and of all others, without their weights, `(2,)`.
    """

    type = "GeneralContrastiveLoss"
    operations = Operations("label_kernels")
    counts = BlobCounts(bottom=2, top=between(1, 2), auto_top=True)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.general_contrastive_loss_param
        for name in ("max_positive_only", "add_intra_mae"):
            if getattr(param, name):
                raise LayerError(f"general_contrastive_loss_param: {name} is not known to this layer.")
        if param.square:
            raise LayerError(
                "general_contrastive_loss_param: square has no effect in happynear's fork either: leave it out."
            )
        if param.HasField("max_negative_margin"):
            raise LayerError(
                "general_contrastive_loss_param: max_negative_margin belongs to add_intra_mae, which is not known to "
                "this layer, and changes nothing without it: leave it out."
            )
        super().layer_set_up(bottom, top)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, param = self.xp, self.param.general_contrastive_loss_param
        number, classes = self.rows
        x = bottom[0].data.reshape(self.rows)
        labels, fault = self.ops.class_labels(bottom[1].data, classes)
        own = own_class(xp, labels, classes)
        beyond = x - param.positive_margin
        near = xp.where(own, xp.minimum(xp.maximum(beyond, 0), param.positive_outlier_thresh), 0)
        others = ~own & (x < param.negative_margin)
        force = xp.where(others, xp.exp(-x) if param.exp_negative_weight else param.negative_margin - x, 0)
        means = (near.sum() / max(1, number), force.sum() / max(1, number * (classes - 1)))
        active = others
        if param.max_negative_only:
            active = active & self.nearest_other(x, own)
        if param.positive_first:
            active = active & (xp.where(own, x, 0).sum(axis=1, keepdims=True) <= param.positive_upper_bound)
        far = (xp.where(active, force, 0).sum() / max(1, number)) * param.negative_weight
        slope = -param.negative_weight * xp.where(active, force if param.exp_negative_weight else 1, 0)
        if param.normalize_negative > 0:
            share = far / param.normalize_negative
            slope = slope / xp.where(share > param.positive_weight, share, 1)
        rising = own & (beyond > 0) & (x < param.positive_outlier_thresh)
        self.delta.data[...] = param.positive_weight * rising + slope
        top[0].data[...] = means[0] * param.positive_weight + far + fault.sum()
        if len(top) > 1:
            top[1].data[0], top[1].data[1] = means
