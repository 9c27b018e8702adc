"""GlobalLSEMargin: scores less a margin at the label, the margin that the batch has, times a scale.

A row's own margin is x at the label less LSE = log Σ exp(s x) / s over the other classes. Each pass moves m, blob 1, to
the mode of the batch's margins: one step of mean shift, with a flat window of ±0.1 around m, counts a tenth; the first
pass, where m is 0, takes up to 20 steps from their mean and sets it. Where no margin is in the window, their mean is
taken. Then y = s x, and at the label y = s (x - m) where m > 0.

s is blob 0, kept within `min_value` and `max_value`, in the blob; `filler` is by default the constant 30. With a third
bottom s is the row's own, and blob 0 is not used.

Source: the GlobalLSEMarginLayer of happynear/caffe-windows, of the nets of AM-Softmax (Wang et al., 2018). As there, m
changes in TEST too, and gradients take it as given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Layer, Operations, between, refuse_label_gradient
from bicerin_face.labels import add_fault, check_labels, own_class, require_labels

#: What is read of `scale_param`.
READ = ("filler", "min_value", "max_value")
WINDOW = 0.1
NEAR = 0.001
STEPS = 20


class GlobalLSEMarginLayer(ChecksInputs, Layer):
    """Bottom 0: scores, cosines, `(N, K)`. Bottom 1: labels, N of them. Bottom 2, optional: scales, N of them. Tops:
    the shape of bottom 0; optional, `(5,)`: s, or its mean, and the means of x at the label, of LSE and of the largest
    other score, and m. Blobs: s and m, `(1,)` each; m is not learned.
    """

    type = "GlobalLSEMargin"
    operations = Operations("label_kernels")
    counts = BlobCounts(bottom=between(2, 3), top=between(1, 2))
    allows_in_place = False

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.scale_param
        unread = [
            field.name
            for field, value in param.ListFields()
            if field.name not in READ and (field.message_type is not None or value != field.default_value)
        ]
        if unread:
            raise LayerError(
                f"{', '.join(unread)} of scale_param is not known to this layer.", f"It reads {', '.join(READ)}."
            )
        self.has_norms = len(bottom) > 2
        filler = param.filler if param.HasField("filler") else type(param.filler)(type="constant", value=30)
        self.declare_blobs(((1,), filler), ((1,), None), learned=False)
        self.set_param_propagate_down(0, not self.has_norms)
        specs = self.param.param
        while len(specs) < 2:
            spec = specs.add()
            spec.lr_mult = 0 if self.has_norms or len(specs) > 1 else 1
            spec.decay_mult = 0
        self.least = param.min_value if param.HasField("min_value") else 0.0
        self.most = param.max_value if param.HasField("max_value") else None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.rows = (bottom[0].count_between(0, 1), bottom[0].count_between(1))
        require_labels(bottom[1], self.rows[0])
        if self.rows[1] < 2:
            raise ShapeError(f"there must be at least 2 classes, not {self.rows[1]}.")
        if self.has_norms and bottom[2].count != self.rows[0]:
            raise ShapeError(f"there must be a scale for each of the {self.rows[0]} items, not {bottom[2].count}.")
        top[0].reshape_like(bottom[0])
        if len(top) > 1:
            top[1].reshape(5)

    def _scales(self, bottom: Sequence[Blob]) -> Any:
        """s, shape (N, 1) or (1, 1)."""
        return (bottom[2] if self.has_norms else self.blobs[0]).data.reshape(-1, 1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, margin = self.xp, self.blobs[1].data
        scale = self.blobs[0].data
        xp.clip(scale, self.least, self.most, out=scale)
        x, y, s = bottom[0].data.reshape(self.rows), top[0].data.reshape(self.rows), self._scales(bottom)
        labels, fault = self.ops.class_labels(bottom[1].data, self.rows[1])
        own = own_class(xp, labels, self.rows[1])
        if self.rows[0]:
            target = xp.where(own, x, 0).sum(axis=1)
            largest = xp.where(own, -1, x).max(axis=1)
            powers = xp.where(own, 0, xp.exp(s * (x - largest[:, None])))
            lse = xp.log(powers.sum(axis=1)) / s[:, 0] + largest
            self._move(target - lse + fault, margin)
            if len(top) > 1:
                means = (s.mean(), target.mean(), lse.mean(), largest.mean())
                top[1].data[...] = xp.stack([*means, margin[0]]).astype(self.dtype)
        elif len(top) > 1:
            top[1].data.fill(0)
        #: What is taken off before the scale.
        self.taken = own * xp.maximum(margin, 0)
        xp.multiply(x - self.taken, s, out=y)
        add_fault(y, fault)

    def _move(self, margins: Any, margin: Any) -> None:
        """Move m towards the mode of the margins; where one is not a number, it stays."""
        xp = self.xp
        is_new = margin[0] == 0
        mode = xp.where(is_new, margins.mean(), margin[0])
        left = xp.where(is_new, STEPS, 1)
        # To the mean of all, where there is none in the window, is no step.
        for _ in range(STEPS + 1):
            window = xp.abs(margins - mode) < WINDOW
            number = window.sum()
            near = xp.where(window, margins, 0).sum() / xp.maximum(number, 1)
            moved = xp.where(left > 0, xp.where(number > 0, near, margins.mean()), mode)
            settled = (number > 0) & (xp.abs(moved - mode) < NEAR)
            left = xp.where(settled, 0, left - (number > 0))
            mode = moved
        target = xp.where(is_new, mode, margin[0] * 0.9 + mode * 0.1)
        margin[...] = xp.where(target == target, target, margin[0])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        refuse_label_gradient(self.type, propagate_down[1])
        y_diff, x = top[0].diff.reshape(self.rows), bottom[0].data.reshape(self.rows)
        if self.has_norms and propagate_down[2]:
            bottom[2].diff.reshape(-1)[...] = (y_diff * (x - self.taken)).sum(axis=1)
        elif not self.has_norms and self.param_propagate_down(0):
            self.blobs[0].diff[...] += (y_diff * (x - self.taken)).sum()
        if propagate_down[0]:
            xp.multiply(y_diff, self._scales(bottom), out=bottom[0].diff.reshape(self.rows))

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        check_labels(bottom[1], self.rows[1])
