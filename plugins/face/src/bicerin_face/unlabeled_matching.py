"""UnlabeledMatching: the products of each item with the last ones of persons that nobody knows. Xiao et al., 2017.

top = x Qᵀ. Q is a queue of the last `queue_size` items whose label was -1, zeros at first: each backward pass puts them
there, in their order, in place of the oldest. With `param { lr_mult: 0 }` it stays. Where the next goes is in
snapshots.

Source: Xiao et al., "Joint detection and identification feature learning for person search", 2017; the
UnlabeledMatchingLayer of ShuangLI59/person_search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, refuse_label_gradient
from bicerin_face.labels import require_labels


class UnlabeledMatchingLayer(Layer):
    """Bottom 0: items, `(N, ...)`, D numbers each. Bottom 1: labels, N of them. Top: `(N, queue_size)`. Blob: Q,
    `(queue_size, D)`.
    """

    type = "UnlabeledMatching"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.unlabeled_matching_param
        if not param.queue_size:
            raise ShapeError("queue_size must be positive.")
        self.size: int = param.queue_size
        self.declare_blobs(((self.size, bottom[0].count_between(1)), None), learned=False)
        specs = self.param.param
        self.remembers = not (specs and specs[0].lr_mult == 0)
        #: Where the next item goes, on the layer's side.
        self.tail = self.xp.zeros((), np.int64)

    def state(self) -> Mapping[str, Any] | None:
        return {**(super().state() or {}), "tail": int(self.tail)}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        super().restore_state(state)
        self.tail = self.xp.full((), int(state["tail"]), np.int64)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.rows = (bottom[0].count_between(0, 1), bottom[0].count_between(1))
        if self.rows[1] != self.blobs[0].shape[1]:
            raise ShapeError(f"the queue has items of {self.blobs[0].shape[1]} numbers, not of {self.rows[1]}.")
        require_labels(bottom[1], self.rows[0])
        top[0].reshape(self.rows[0], self.size)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.xp.matmul(bottom[0].data.reshape(self.rows), self.blobs[0].data.T, out=top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            self.xp.matmul(top[0].diff, self.blobs[0].data, out=bottom[0].diff.reshape(self.rows))
        if self.remembers and self.rows[0]:
            self._remember(bottom[0].data.reshape(self.rows), bottom[1].data.reshape(-1))

    def _remember(self, x: Any, labels: Any) -> None:
        xp, queue = self.xp, self.blobs[0].data
        unknown = (labels > -2) & (labels <= -1)
        rank = unknown.cumsum() - 1
        number = rank[-1] + 1
        # Of more items than there is room for, the last stay.
        stays = unknown & (rank >= number - self.size)
        place = (self.tail + rank) % self.size
        taken = stays[None, :] & (place[None, :] == xp.arange(self.size)[:, None])
        which = taken.argmax(axis=1)
        xp.copyto(queue, x[which], where=taken.any(axis=1)[:, None])
        self.tail = (self.tail + number) % self.size
