"""DiceCoefLoss: how far the pixels of predicted classes and of true ones are from covering each other.

With x the predictions, t the labels as channels of zeros and ones, and a weight v for each class,

    d = (s + 2 Σ v x t) / (s + Σ v x² + Σ v t²)     over the channels and pixels of an item,
    top = 1 - mean of |d| over the N items.

- bottom 0: probabilities `(N, C, H, W)`; bottom 1: labels `(N, 1, H, W)`, 0 to C - 1. Top: `()`.

`generalization` says what the weights are:

- NONE: v = 1, and s = 1 / N. MULTICLASS: the same, but v = 0 for the class `ignore_label`.
- MULTICLASS_WEIGHTED: s = 0, and v = volume^-2, where the volume of a class is 1 + its pixels in the item;
  `weight_mode: EQUALIZE_CLASSES` takes the power -1, EXTRA_SMALL_VOLUMES -3. MULTICLASS_WEIGHTED_BATCH takes the mean
  volume of the items of the batch, MULTICLASS_WEIGHTED_ALL that of all items since training began, which is kept in
  snapshots. The volume of `ignore_label` begins at 10^6 H W in place of 1, so that it counts next to nothing.

Source: Milletari et al., "V-Net", 2016; Sudre et al., "Generalised Dice overlap", 2017; jolibrain's DiceCoefLossLayer,
whose gradient has two habits: it is that of the sum over the items, not divided by N, and a class whose v is 0 takes it
as if v were 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, ChecksInputs, LossLayer, Operations, enum_name, image_shape
from bicerin_segmentation.label_kernels import pixel_classes

GENERALIZATIONS = (
    "NONE",
    "MULTICLASS",
    "MULTICLASS_WEIGHTED",
    "MULTICLASS_WEIGHTED_BATCH",
    "MULTICLASS_WEIGHTED_ALL",
)
POWERS = {"INVERSE_VOLUME": -2, "EQUALIZE_CLASSES": -1, "EXTRA_SMALL_VOLUMES": -3}
UNKNOWN = ("weights", "contour_size", "contour_amplitude")
#: What the volume of the class to ignore begins at, times the pixels of an item.
IGNORED_VOLUME = 1e6


class DiceCoefLossLayer(ChecksInputs, LossLayer):
    """The gradient with respect to x is v (2 d x - 2 t) / (s + Σ v x² + Σ v t²)."""

    type = "DiceCoefLoss"
    operations = Operations("label_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.dice_coef_loss_param
        self.generalization = enum_name(param, "generalization", GENERALIZATIONS)
        self.weighted = self.generalization.startswith("MULTICLASS_WEIGHTED")
        self.power = POWERS[enum_name(param, "weight_mode", tuple(POWERS))]
        if unknown := [name for name in UNKNOWN if param.HasField(name)]:
            raise LayerError(f"{', '.join(unknown)} of dice_coef_loss_param is not supported.", "Leave it out.")
        if self.power != -2 and not self.weighted:
            raise LayerError(
                f"weight_mode has no effect with generalization: {self.generalization}.",
                "Leave it out, or take MULTICLASS_WEIGHTED.",
            )
        self.ignored: int = param.ignore_label
        if self.ignored != -1 and self.generalization == "NONE":
            raise LayerError(
                "ignore_label has no effect with generalization: NONE.", "Leave it out, or take MULTICLASS."
            )
        #: The volumes of the items until now, shape (C,), their sum; and how many items these were.
        self.total = self.new_blob(name="total", dtype=np.float64)
        self.items = 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        number, self.classes, *sides = image_shape(bottom[0])
        if bottom[1].shape != (number, 1, *sides):
            raise ShapeError(f"the labels must have the shape {(number, 1, *sides)}, not {bottom[1].shape}.")
        if self.total.shape != (self.classes,):
            self.total.reshape(self.classes)
            self.total.data.fill(0)
            self.items = 0

    def state(self) -> Mapping[str, Any] | None:
        if not self.generalization.endswith("_ALL"):
            return super().state()
        return {**(super().state() or {}), "volumes": self.total.read_only.data.tolist(), "items": self.items}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        super().restore_state(state)
        if "volumes" in state:
            volumes = np.asarray(state["volumes"], np.float64)
            if volumes.shape != self.total.shape:
                raise LayerError(f"the state is of {volumes.size} classes, the layer has {self.classes}.")
            self.total.data[...] = self.xp.asarray(volumes)
            self.items = int(state["items"])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, x = self.xp, bottom[0].data
        # A label that does not count must not be a class to stand for nothing.
        counts, classes, fault = self.ops.pixel_classes(bottom[1].data[:, 0], self.classes, self._outside())
        there = (classes[:, None] == xp.arange(self.classes)[:, None, None]) & counts[:, None]
        self.target = there.astype(self.dtype)
        measured, self.weights, smooth = self._weights(len(x))
        overlap = (measured * self._sums(x * self.target)).sum(axis=1)
        self.area = smooth + (measured * (self._sums(x * x) + self._sums(self.target))).sum(axis=1)
        self.area = xp.where(self.area > 0, self.area, 1)  # 0 where there are no pixels.
        self.dice = (smooth + 2 * overlap) / self.area
        top[0].data[...] = 1 - xp.abs(self.dice).sum() / max(1, len(x)) + fault

    def _outside(self) -> tuple[int, ...]:
        """The label to ignore, where it is no class."""
        return () if self.generalization == "NONE" or 0 <= self.ignored < self.classes else (self.ignored,)

    def _sums(self, values: Any) -> Any:
        """Over the pixels, float64, as float32 leaves nothing of small weights: shape (N, C)."""
        return values.sum(axis=(2, 3), dtype=np.float64)

    def _weights(self, number: int) -> tuple[Any, Any, float]:
        """The classes' weights in the loss and in its gradient, each of shape (N, C), and s."""
        xp = self.xp
        ones = xp.ones((number, self.classes))
        if not self.weighted:
            measured = ones.copy()
            if self.generalization == "MULTICLASS" and 0 <= self.ignored < self.classes:
                measured[:, self.ignored] = 0
            return measured, ones, 1 / max(1, number)
        volumes = ones + self._sums(self.target)
        if 0 <= self.ignored < self.classes:
            volumes[:, self.ignored] += IGNORED_VOLUME * self.target.shape[2] * self.target.shape[3] - 1
        if self.generalization.endswith("_ALL"):
            self.total.data[...] += volumes.sum(axis=0)
            self.items += number
            volumes = self.total.data / max(1, self.items) * ones
        elif self.generalization.endswith("_BATCH"):
            volumes = volumes.sum(axis=0) / max(1, number) * ones
        weights = volumes**self.power
        return weights, weights, 0.0

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            factor = 2 * self.weights / self.area[:, None] * self.loss_gradient(top)
            along, against = (
                (values.astype(self.dtype))[:, :, None, None] for values in (factor * self.dice[:, None], factor)
            )
            self.xp.multiply(bottom[0].data, along, out=bottom[0].diff)
            bottom[0].diff[...] -= self.target * against

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        """Refuse labels that are no classes."""
        pixel_classes(np.asarray(bottom[1].data)[:, 0], self.classes, self._outside())
