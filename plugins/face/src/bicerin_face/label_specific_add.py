"""LabelSpecificAdd: a bias on the score of the own class, a margin where it is negative. Wang et al., AM-Softmax, 2018.

y = x, and in TRAIN at the label y = x + b where x > -b. b is `bias`, or where there is a `bias_base`
bias_base + (1 + bias_gamma · pass)^bias_power - 1, within bias_min and bias_max; passes are counted from `iteration`
on, and are in snapshots. dx = dy.

Source: the LabelSpecificAddLayer of happynear/caffe-windows, where nothing is added in TEST either, whatever
`transform_test` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Operations, Phase, between, refuse_label_gradient
from bicerin_face.annealing import CountsPasses
from bicerin_face.labels import add_fault, check_labels, own_class, require_labels


class LabelSpecificAddLayer(ChecksInputs, CountsPasses):
    """Bottom 0: scores, `(N, K)`. Bottom 1: labels, N of them. Tops: the shape of bottom 0; optional, b, `(1,)`."""

    type = "LabelSpecificAdd"
    operations = Operations("label_kernels")
    counts = BlobCounts(bottom=2, top=between(1, 2))

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.label_specific_add_param
        self.anneals = param.HasField("bias_base")
        self.iteration = param.iteration
        if param.transform_test:
            raise LayerError(
                "label_specific_add_param: the bias is added in TRAIN alone; transform_test has no effect in "
                "happynear's fork either: leave it out."
            )
        if self.anneals and param.bias_min > param.bias_max:
            raise LayerError(f"bias_min, {param.bias_min:g}, is above bias_max, {param.bias_max:g}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if top[0] is bottom[1]:
            raise LayerError(f"{self.type} Layer does not allow in-place computation on its labels.")
        self.rows = (bottom[0].count_between(0, 1), bottom[0].count_between(1))
        require_labels(bottom[1], self.rows[0])
        if top[0] is not bottom[0]:
            top[0].reshape_like(bottom[0])
        if len(top) > 1:
            top[1].reshape(1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, param = self.xp, self.param.label_specific_add_param
        bias = param.bias
        if self.anneals:
            bias = param.bias_base + (1 + param.bias_gamma * self.iteration) ** param.bias_power - 1
            bias = min(max(bias, param.bias_min), param.bias_max)
            self.iteration += 1
        if len(top) > 1:
            top[1].data[...] = bias
        x = bottom[0].data.reshape(self.rows)
        y = top[0].data.reshape(self.rows)
        labels, fault = self.ops.class_labels(bottom[1].data, self.rows[1])
        if top[0] is not bottom[0]:
            y[...] = x
        if self.phase is Phase.TRAIN:
            y += (own_class(xp, labels, self.rows[1]) & (x > -bias)) * self.dtype.type(bias)
        add_fault(y, fault)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0] and top[0] is not bottom[0]:
            bottom[0].diff[...] = top[0].diff

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        check_labels(bottom[1], self.rows[1])
