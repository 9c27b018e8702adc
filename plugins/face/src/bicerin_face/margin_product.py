"""What MarginInnerProduct and LargeMarginInnerProduct have in common: a margin in the angle to the own class.

The scores of N items x and K classes w are y = x · w = |x||w| cos θ, but for the own class, in TRAIN and TEST alike,

    y = (|x||w| ψ(θ) + λ |x||w| cos θ) / (1 + λ),    λ = max(base · (1 + gamma · pass)^-power, lambda_min)

`type` says how many times the angle ψ takes: SINGLE to QUADRUPLE. λ is counted down over the forward passes, from
`iteration` + 1 on; what is counted is in snapshots.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Operations, between, enum_name, refuse_label_gradient
from bicerin_face.angular_margin import MULTIPLES, psi
from bicerin_face.annealing import CountsPasses
from bicerin_face.labels import add_fault, check_labels, own_class, require_labels


class MarginProductLayer(ChecksInputs, CountsPasses):
    """Bottom 0: items, `(N, D)` from `axis` on. Bottom 1: labels, N of them. Top 0: scores, `(N, K)`. Top 1, optional:
    λ, `(1,)`. Blob: weights, `(K, D)`.
    """

    operations = Operations("label_kernels")
    counts = BlobCounts(bottom=2, top=between(1, 2))
    allows_in_place = False

    @property
    @abstractmethod
    def own_param(self) -> Any:
        """The layer's message."""

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.own_param
        self.multiple = MULTIPLES[enum_name(param, "type", tuple(MULTIPLES))]
        self.iteration = param.iteration
        self.axis = bottom[0].canonical_axis(param.axis)
        self.features = bottom[0].count_between(self.axis)
        self.prepare_weights(bottom)

    def prepare_weights(self, bottom: Sequence[Blob]) -> None:
        """Declare the blob, and set `num_output`."""
        self.num_output: int = self.own_param.num_output
        if not self.num_output:
            raise ShapeError("num_output, the number of classes, must be positive.")
        self.declare_blobs(((self.num_output, self.features), self.own_param.weight_filler))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.items = bottom[0].count_between(0, self.axis)
        if bottom[0].count_between(self.axis) != self.features:
            raise ShapeError(
                f"the weights are for {self.features} numbers an item, which has {bottom[0].count_between(self.axis)}."
            )
        require_labels(bottom[1], self.items)
        top[0].reshape(self.items, self.num_output)
        if len(top) > 1:
            top[1].reshape(1)

    @abstractmethod
    def weights(self, bottom: Sequence[Blob]) -> tuple[Any, Any]:
        """The weights `(K, D)`, and the length of each `(K,)`."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, param = self.xp, self.own_param
        self.iteration += 1
        falling = (1 + param.gamma * self.iteration) ** -param.power if param.power else 1.0
        self.share = max(param.base * falling, param.lambda_min)
        if len(top) > 1:
            top[1].data[...] = self.share
        x = bottom[0].data.reshape(self.items, self.features)
        w, w_length = self.weights(bottom)
        y = top[0].data
        xp.matmul(x, w.T, out=y)
        labels, fault = self.ops.class_labels(bottom[1].data, self.num_output)
        self.own = own_class(xp, labels, self.num_output)
        self.x_length, self.w_length = xp.sqrt(xp.square(x).sum(axis=1)), xp.take(w_length, labels)
        if self.multiple > 1:
            product = self.x_length * self.w_length
            self.cosine = xp.where(self.own, y, 0).sum(axis=1) / (product + self.smallest)
            with_margin, _ = psi(xp, self.multiple, self.cosine)
            change = (product * with_margin - xp.where(self.own, y, 0).sum(axis=1)) / (1 + self.share)
            y += self.own * change[:, None].astype(self.dtype)
        add_fault(y, fault)

    #: What is added to the product of lengths that a cosine is divided by.
    smallest: float = 0.0

    def slopes(self) -> tuple[Any, Any]:
        """(a, b), `(N,)`: by x the gradient of |x||w|ψ is a · w + b · |w| / |x| · x, by w a · x + b · |x| / |w| · w."""
        value, slope = psi(self.xp, self.multiple, self.cosine)
        return slope, value - self.cosine * slope

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        check_labels(bottom[1], self.num_output)

    def refuse(self, propagate_down: Sequence[bool]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
