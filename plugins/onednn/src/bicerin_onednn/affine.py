"""BatchNorm at TEST, Scale and Bias by oneDNN, with the layers of that kind after them.

All of these are a scale, a shift and a slope by channel, which is what batch normalization does with a mean and a
variance of 0 and an epsilon of 1. Source: oneDNN's batch normalization primitive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.kernels import Finish
from bicerin.layer import Blob, Finishes, Layer, Repetition
from bicerin.layer.abilities import affine_steps
from bicerin.net.affine_chain import AffineChain
from bicerin_normalization.batch_norm import BatchNormLayer
from bicerin_normalization.bias import BiasLayer
from bicerin_normalization.scale import ScaleLayer
from bicerin_onednn import library as dnn
from bicerin_onednn.arranged import ArrangedLayer
from bicerin_onednn.attributes import attributes
from bicerin_onednn.layout import OneDNNLayout, address, rows_of
from bicerin_onednn.library import is_forked, library
from bicerin_onednn.primitive import Primitive
from bicerin_onednn.watch import Watch


class ArrangedAffineLayer(Finishes, ArrangedLayer, Layer):
    """A layer that acts affinely by channel, at least sometimes; its own code computes it where it does not."""

    channel_axis: int

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self.channel_axis = getattr(self, "channel", 1)
        self._watch = Watch(self)
        self._slope: float | None = None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._watch.changed(self.absorbed):
            self._take_numbers()
        self._computed_by_engine = self._slope is not None and not is_forked() and self._run_engine(bottom, top)
        if self._computed_by_engine:
            return
        if self._slope is not None and self.absorbed:
            AffineChain([self, *self.absorbed], self.channel_axis, self.dtype).forward(bottom, top)
            return
        super().forward(bottom, top)
        if self.absorbed:
            AffineChain(self.absorbed, self.channel_axis, self.dtype).forward(top, top)

    def repetition(self) -> Repetition | None:
        return self._watch.repetition(*self._readers, self._numbers) if self._computed_by_engine else None

    def _take_numbers(self) -> None:
        """Fold what the layers do at present into one scale, one shift and one slope; None where this one does more."""
        layer: Any = self
        self._slope = None
        if layer.affine() is None:
            return
        scale, shift, slope = Finish.of(None, affine_steps([layer, *self.absorbed]), self.dtype)
        channels = max(scale.size, shift.size)
        mean, variance = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        scale = np.array(scale, np.float32) if scale.size else np.ones(channels, np.float32)
        shift = np.array(shift, np.float32) if shift.size else np.zeros(channels, np.float32)
        self._numbers = (mean, variance, scale, shift)
        self._addresses = tuple(map(address, self._numbers))
        self._slope = slope

    def key(self) -> Any:
        return self._slope

    def extra(self) -> Sequence[int]:
        return self._addresses

    def make(self, bottom: Sequence[Blob], layouts: Sequence[OneDNNLayout]) -> tuple[Primitive, OneDNNLayout] | None:
        if self.channel_axis != 1 or self._slope is None:
            return None
        dll, layout = library(), layouts[0]
        with attributes(self._slope) as attribute:
            descriptor = dll.make(
                "batch_normalization_forward_primitive_desc_create",
                dll.engine,
                dnn.INFERENCE,
                layout.handle,
                layout.handle,
                # Not of the variance: it is 0 for the channels that fill the last block, where 0 / 0 would be written.
                1.0,
                dnn.GLOBAL_STATISTICS | dnn.SCALE_AND_SHIFT,
                attribute,
            )
        numbers = rows_of(self._numbers[0].shape).handle
        arguments = {dnn.SRC: layout.handle, dnn.DST: layout.handle}
        arguments |= dict.fromkeys((dnn.MEAN, dnn.VARIANCE, dnn.SCALE, dnn.SHIFT), numbers)
        return Primitive(descriptor, arguments), layout


class ArrangedBatchNormLayer(ArrangedAffineLayer, BatchNormLayer):
    """With the statistics of training."""


class ArrangedScaleLayer(ArrangedAffineLayer, ScaleLayer):
    """With a learned scale for each channel."""


class ArrangedBiasLayer(ArrangedAffineLayer, BiasLayer):
    """With a learned bias for each channel."""
