"""LabeledMatching: the products of each item with what is remembered of each person. Xiao et al., person search, 2017.

top 0 = x Wᵀ, W having a row for each of `num_classes`; top 1 = the labels, -1 for those that are none of them.

W is not learned from gradients: each backward pass goes through the items in their order and puts
w = momentum · w + (1 - momentum) · x for the row of the item's label. Blob 1 counts the backward passes since a row was
last changed. With `param { lr_mult: 0 }` both stay.

Source: Xiao et al., "Joint detection and identification feature learning for person search", 2017; the
LabeledMatchingLayer of ShuangLI59/person_search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, refuse_label_gradient
from bicerin_face.labels import require_labels


class LabeledMatchingLayer(Layer):
    """Bottom 0: items, `(N, ...)`, D numbers each. Bottom 1: labels, N of them. Tops: `(N, num_classes)`, and the shape
    of bottom 1. Blobs: W, `(num_classes, D)`, zeros at first, and `(num_classes,)`.
    """

    type = "LabeledMatching"
    counts = BlobCounts(bottom=2, top=2)
    allows_in_place = False

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.labeled_matching_param
        if not param.num_classes:
            raise ShapeError("num_classes must be positive.")
        self.classes: int = param.num_classes
        self.momentum: float = param.momentum
        self.declare_blobs(((self.classes, bottom[0].count_between(1)), None), ((self.classes,), None), learned=False)
        specs = self.param.param
        self.remembers = not (specs and specs[0].lr_mult == 0)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.rows = (bottom[0].count_between(0, 1), bottom[0].count_between(1))
        if self.rows[1] != self.blobs[0].shape[1]:
            raise ShapeError(f"what is remembered has {self.blobs[0].shape[1]} numbers, the items {self.rows[1]}.")
        require_labels(bottom[1], self.rows[0])
        top[0].reshape(self.rows[0], self.classes)
        top[1].reshape_like(bottom[1])

    def _labels(self, bottom: Sequence[Blob]) -> Any:
        """int64 `(N,)`, -1 for none."""
        flat = bottom[1].data.reshape(-1)
        inside = (flat > -1) & (flat < self.classes)
        return self.xp.where(inside, flat, -1).astype(np.int64)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.xp.matmul(bottom[0].data.reshape(self.rows), self.blobs[0].data.T, out=top[0].data)
        labels = self._labels(bottom)
        flat = bottom[1].data.reshape(-1)
        top[1].data.reshape(-1)[...] = self.xp.where(labels < 0, -1, flat)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            self.xp.matmul(top[0].diff, self.blobs[0].data, out=bottom[0].diff.reshape(self.rows))
        if self.remembers:
            self._remember(bottom[0].data.reshape(self.rows), self._labels(bottom))

    def _remember(self, x: Any, labels: Any) -> None:
        """All items at once: of r items with one label, the k-th counts (1 - momentum) · momentum^(r - k)."""
        xp = self.xp
        own = labels[:, None] == xp.arange(self.classes)
        numbers = own.sum(axis=0)
        alike = (labels[:, None] == labels[None, :]) & xp.tri(len(labels), k=-1, dtype=bool).T
        momentum = self.dtype.type(self.momentum)
        shares = (1 - momentum) * momentum ** alike.sum(axis=1).astype(self.dtype)
        memory, age = (blob.data for blob in self.blobs)
        memory *= (momentum ** numbers.astype(self.dtype))[:, None]
        memory += (own * shares[:, None]).T.astype(self.dtype) @ x
        age += 1
        xp.copyto(age, 0, where=numbers > 0)
