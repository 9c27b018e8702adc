"""InnerDistance: how far items are from the weights of classes.

y = Σ (x - w)², or with `distance_type: "L1"` Σ |x - w|, of N items x and K classes w. With `normalize` the rows of the
blob are first divided, in the blob, by sqrt(|w|² + 1e-6). With `update_center_only` the gradient of w is that of the
items of its class alone, whose labels are then the last bottom.

Source: the InnerDistanceLayer of happynear/caffe-windows, which has no bias either, whatever `bias_term` says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import (
    Blob,
    BlobCounts,
    ChecksInputs,
    CountsProducts,
    Layer,
    Operations,
    between,
    refuse_label_gradient,
)
from bicerin_face.labels import add_fault, check_labels, own_class, require_labels

_log = logging.getLogger("bicerin.layer")


class InnerDistanceLayer(ChecksInputs, CountsProducts, Layer):
    """Bottom 0: items, `(N, D)` from `axis` on. Then, optional: weights, `(K, D)`, in place of the blob; and with
    `update_center_only` labels, N of them. Top: `(N, K)`. Blob: weights, `(K, D)`.
    """

    type = "InnerDistance"
    counts = BlobCounts(bottom=between(1, 3), top=1)
    allows_in_place = False
    operations = Operations("inner_distance_kernels", "label_kernels")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index <= (0 if self.learned else 1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.inner_distance_param
        if param.distance_type not in ("L1", "L2"):
            raise LayerError(f'distance_type is "{param.distance_type}"; it is "L2" or "L1".')
        if param.transpose:
            raise LayerError("inner_distance_param: transpose is not known to this layer.")
        biased = param.bias_term if param.HasField("bias_term") else param.HasField("bias_filler")
        if biased:
            _log.warning("InnerDistance has no bias; bias_term and bias_filler have no effect, as in happynear's fork")
        self.by_label: bool = param.update_center_only
        extra = len(bottom) - (2 if self.by_label else 1)
        if extra not in (0, 1):
            raise LayerError(
                f"there are {len(bottom)} bottoms: "
                + (
                    "items, weights if there is no blob, and labels."
                    if self.by_label
                    else "items, and weights or none."
                )
            )
        self.learned = not extra
        self.first_power: bool = param.distance_type == "L1"
        self.normalize: bool = param.normalize
        if self.normalize and not self.learned:
            raise LayerError("normalize is for weights that are learned, not for those of a second bottom.")
        self.axis = bottom[0].canonical_axis(param.axis)
        self.features = bottom[0].count_between(self.axis)
        if self.learned:
            if not param.num_output:
                raise ShapeError("num_output must be positive.")
            self.declare_blobs(((param.num_output, self.features), param.weight_filler))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.items = bottom[0].count_between(0, self.axis)
        self.classes = self.blobs[0].shape[0] if self.learned else bottom[1].num
        if bottom[0].count_between(self.axis) != self.features:
            raise ShapeError(f"items must have {self.features} numbers, not {bottom[0].count_between(self.axis)}.")
        if not self.learned and bottom[1].count != self.classes * self.features:
            raise ShapeError(f"bottom 1, the weights, must be (K, {self.features}): {bottom[1].shape}.")
        if self.by_label:
            require_labels(bottom[-1], self.items)
        top[0].reshape(self.items, self.classes)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return self.items * self.classes * self.features

    def _weights(self, bottom: Sequence[Blob]) -> Any:
        return self.blobs[0].data if self.learned else bottom[1].data.reshape(self.classes, self.features)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        if self.normalize:
            w = self.blobs[0].blob.on(self.context.device).data
            w /= xp.sqrt(xp.square(w).sum(axis=1, keepdims=True) + 1e-6)
        x = bottom[0].data.reshape(self.items, self.features)
        self.ops.distances(x, self._weights(bottom), self.first_power, top[0].data)
        if self.by_label:
            self.labels, fault = self.ops.class_labels(bottom[-1].data, self.classes)
            add_fault(top[0].data, fault)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp, y_diff = self.xp, top[0].diff
        refuse_label_gradient(self.type, any(propagate_down[1 if self.learned else 2 :]))
        x, w = bottom[0].data.reshape(self.items, self.features), self._weights(bottom)
        if propagate_down[0]:
            self.ops.pulls(x, w, y_diff, self.first_power, bottom[0].diff.reshape(x.shape))
        if not (self.param_propagate_down(0) if self.learned else propagate_down[1]):
            return
        counted = xp.where(own_class(xp, self.labels, self.classes), y_diff, 0) if self.by_label else y_diff
        if self.learned:
            pull = xp.empty_like(w)
            self.ops.pulls(w, x, xp.ascontiguousarray(counted.T), self.first_power, pull)
            self.blobs[0].diff[...] += pull
        else:
            diff = bottom[1].diff.reshape(w.shape)
            self.ops.pulls(w, x, xp.ascontiguousarray(counted.T), self.first_power, diff)

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        if self.by_label:
            check_labels(bottom[-1], self.classes)
