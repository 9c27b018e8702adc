"""CenterLoss: half the squared distance of each item from the center of its class. Wen et al., 2016.

top = Σ |x - c|² / 2N, or with `distance_type: "L1"` Σ |x - c| / N, c being the center of the item's class.

Centers are learned, but not from the loss: the gradient of a center is the mean of c - x, with L1 of the signs of
c - x, over its items and one more item that is at the center. With `once_an_item` it is that times the number of items,
as in happynear's fork, whose layers are those that give a `distance_type`. It does not depend on the loss weight, which
is 0 unless given.

Source: the CenterLossLayer of ydwen/caffe-face, and happynear's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Layer, Operations, refuse_label_gradient
from bicerin_face.labels import check_labels, require_labels

_log = logging.getLogger("bicerin.face")


class CenterLossLayer(ChecksInputs, Layer):
    """Bottom 0: items, `(N, D)` from `axis` on. Bottom 1: labels, N of them. Top: `()`. Blob: centers, `(K, D)`."""

    type = "CenterLoss"
    counts = BlobCounts(bottom=2, top=1, auto_top=True)
    allows_in_place = False
    operations = Operations("center_kernels", "label_kernels")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.center_loss_param
        if param.distance_type not in ("L1", "L2"):
            raise LayerError(f'distance_type is "{param.distance_type}"; it is "L2" or "L1".')
        if not param.num_output:
            raise ShapeError("num_output, the number of classes, must be positive.")
        self.first_power: bool = param.distance_type == "L1"
        given = param.HasField("once_an_item")
        self.once_an_item: bool = param.once_an_item if given else param.HasField("distance_type")
        if not (given or self.once_an_item):
            _log.warning(
                'layer "%s": CenterLoss without distance_type moves a center once for all items of its class, as in '
                "caffe-face (ydwen); happynear's Caffe moves it once for each. Write center_loss_param "
                "{ once_an_item: true } for the second, once_an_item: false for the first",
                self.name,
            )
        self.axis: int = bottom[0].canonical_axis(param.axis)
        self.declare_blobs(((param.num_output, bottom[0].count_between(self.axis)), param.center_filler))
        self.delta = self.new_blob(name="delta")
        if not any(self.param.loss_weight):
            _log.warning(
                'layer "%s": CenterLoss has no loss_weight, so that nothing but its centers is learned from it; give '
                "it one, such as loss_weight: 0.008.",
                self.name,
            )

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        features = self.blobs[0].shape[1]
        items = bottom[0].count_between(0, self.axis)
        if bottom[0].count_between(self.axis) != features:
            raise ShapeError(f"the centers have {features} numbers, the items {bottom[0].count_between(self.axis)}.")
        require_labels(bottom[1], items)
        self.delta.reshape(items, features)
        top[0].reshape()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, delta = self.xp, self.delta.data
        self.labels, fault = self.ops.class_labels(bottom[1].data, self.blobs[0].shape[0])
        xp.subtract(bottom[0].data.reshape(delta.shape), xp.take(self.blobs[0].data, self.labels, axis=0), out=delta)
        self.number = max(1, len(delta))
        total = xp.abs(delta).sum() if self.first_power else xp.square(delta).sum() / 2
        top[0].data[...] = total / self.number + fault.sum()

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp, delta = self.xp, self.delta.data
        refuse_label_gradient(self.type, propagate_down[1])
        step = xp.sign(delta) if self.first_power else delta
        if self.param_propagate_down(0):
            self.ops.move_centers(step, self.labels, self.once_an_item, self.blobs[0].diff)
        if propagate_down[0]:
            scale = top[0].diff / self.number
            xp.multiply(step, scale.astype(self.dtype), out=bottom[0].diff.reshape(delta.shape))

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        check_labels(bottom[1], self.blobs[0].shape[0])
