"""CtcLoss: connectionist temporal classification, the loss of sequences without alignment. Graves et al., 2006.

top = the mean over sequences of -log p, p being the probability of all paths that read as the label: of each step a
class, from the softmax of its scores; what repeats is one, and blanks are dropped. All of it is computed in logarithms.

The gradient that is passed down is that of the sum of the sequences' losses, not of their mean. A label that is longer
than the steps allow, with the blanks that must be between equal classes, costs nothing.

Source: the CtcLossLayer of warpctc-caffe, which computes with Baidu's warp-ctc; its sum is not divided by N either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, ChecksInputs, LossLayer, Operations, refuse_label_gradient


class CtcLossLayer(ChecksInputs, LossLayer):
    """Bottom 0: scores, `(T, N, C)`, before the softmax; the first `time_step` steps count. Bottom 1: labels, `(N, L)`,
    0 to C - 1, of which blanks do not count, wherever they stand. Top: `()`.
    """

    type = "CtcLoss"
    operations = Operations("ctc_loss_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.ctc_loss_param
        self.blank: int = param.blank_label
        #: The logarithms of the probabilities of all beginnings of paths, by sequence, step and place in the label.
        self.table = self.new_blob(name="table")
        #: The gradient, but for the weight.
        self.delta = self.new_blob(name="delta")
        self.losses = self.new_blob(name="losses")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param, (scores, labels) = self.param.ctc_loss_param, bottom
        if scores.num_axes != 3:
            raise ShapeError(f"the scores must have the shape (T, N, C), not {scores.shape}.")
        steps, number, classes = scores.shape
        if param.alphabet_size not in (0, classes):
            raise ShapeError(f"alphabet_size is {param.alphabet_size}, but the scores are of {classes} classes.")
        if not 0 <= self.blank < classes:
            raise ShapeError(f"blank_label is {self.blank}; there are {classes} classes: 0 to {classes - 1}.")
        if param.time_step > steps:
            raise ShapeError(f"time_step is {param.time_step}, but the scores have {steps} steps.")
        if not steps:
            raise ShapeError("there are no time steps.")
        if labels.num_axes < 1 or labels.shape[0] != number:
            raise ShapeError(f"the labels must have the shape ({number}, L), not {labels.shape}.")
        self.steps: int = param.time_step or steps
        self.length = labels.count // number if number else 0
        top[0].reshape()
        self.table.reshape(number, self.steps, 2 * self.length + 1)
        self.delta.reshape(steps, number, classes)
        self.losses.reshape(number)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number = bottom[0].shape[1]
        if not number:
            top[0].data[...] = 0
            return
        labels = bottom[1].data.reshape(number, self.length)
        targets, fault = self.ops.target_classes(labels, self.delta.shape[2], self.blank)
        losses = self.losses.data
        self.ops.ctc(bottom[0].data, targets, self.steps, self.blank, self.table.data, losses, self.delta.data)
        top[0].data[...] = losses.mean() + fault

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            self.xp.multiply(self.delta.data, self.loss_gradient(top), out=bottom[0].diff)

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        from bicerin_ocr.ctc_loss_kernels import target_classes

        target_classes(bottom[1].data.reshape(self.delta.shape[1], self.length), self.delta.shape[2], self.blank)
