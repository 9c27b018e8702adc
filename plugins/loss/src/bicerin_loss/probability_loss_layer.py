"""What SoftmaxWithLoss and InfogainLoss have in common: labels against the softmax of scores.

- bottom 0: scores, any shape, C classes along one axis, e.g. (N, C) or (N, C, H, W).
- bottom 1: labels 0 to C - 1, as many as there are scores of one class, e.g. (N,) or (N, 1, H, W).
- top 0: the loss, shape (). The sum over all labels that are not `ignore_label` is divided as `normalization` says.
- top 1, optional: the softmax, shape of bottom 0.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import (
    Blob,
    ChecksInputs,
    LossLayer,
    Operations,
    ReadsTops,
    TopValues,
    around,
    normalization_mode,
    refuse_label_gradient,
)
from bicerin_loss.label_kernels import host_labels
from bicerin_loss.labels import divisor, ignore_label, require_label_count


class ProbabilityLossLayer(ChecksInputs, ReadsTops, LossLayer):
    """A subclass gives the sum of the losses and the gradient of that sum; shapes are (outer, classes, inner).

    Attributes:
        labels: int32 of shape (outer, inner), -1 where ignored.
        divisor: what the sum of the losses is divided by.
        gradient_divisor: the same for its gradient.
    """

    operations = Operations("softmax_kernels", "label_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ignore_label = ignore_label(self.param.loss_param)
        self.normalization = normalization_mode(self.param.loss_param)
        self.probability = self.new_blob(name="probability")
        if self.param.softmax_param.scaling_temperature != 1:
            raise LayerError("scaling_temperature is known to Softmax, not to this loss.")

    @property
    @abstractmethod
    def class_axis(self) -> int:
        """The axis that the parameters give; negative from the end."""

    @property
    @abstractmethod
    def axis_name(self) -> str:
        """What an error calls it."""

    def weigh(self, bottom: Sequence[Blob]) -> None:
        """Called when the labels are known, before the loss: the place to change the divisors."""

    @abstractmethod
    def total_loss(self, bottom: Sequence[Blob], probability: Any) -> Any:
        """The sum over the valid labels."""

    @abstractmethod
    def gradient(self, bottom: Sequence[Blob], probability: Any, scale: Any, diff: Any) -> None:
        """Write the gradient of the sum with respect to the scores, times `scale`, into `diff`."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        axis = bottom[0].canonical_axis(self.class_axis)
        require_label_count(bottom[0], bottom[1], axis, self.axis_name)
        self.columns = around(bottom[0], axis)
        self.probability.reshape_like(bottom[0])
        self.gives_probability = len(top) > 1
        if self.gives_probability:
            top[1].reshape_like(bottom[0])
            top[1].share_data(self.probability)

    def reads_in_tops(self) -> TopValues:
        return TopValues.ALL if self.gives_probability else TopValues.NONE

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        outer, classes, inner = self.columns
        labels, valid = self.ops.class_labels(bottom[1].data, classes, self.ignore_label)
        self.labels = labels.reshape(outer, inner)
        self.divisor = self.gradient_divisor = divisor(self.xp, self.normalization, outer, inner, valid)
        self.weigh(bottom)
        probability = self._probability()
        self.ops.softmax(bottom[0].data.reshape(self.columns), probability)
        top[0].data[...] = self.total_loss(bottom, probability) / self.divisor

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            scale = self.loss_gradient(top) / self.gradient_divisor
            self.gradient(bottom, self._probability(), scale, bottom[0].diff.reshape(self.columns))

    def check_inputs(self, bottom: Sequence[Blob]) -> None:
        host_labels(bottom[1].data, self.columns[1], self.ignore_label)

    def _probability(self) -> Any:
        return self.probability.data.reshape(self.columns)
