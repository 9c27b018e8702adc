"""Affine chains: layers of scale, shift and slope, one after the other, done in one pass over the array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.device.device import CPU
from bicerin.kernels.affine import Finish
from bicerin.layer.abilities import affine_steps
from bicerin.layer.axes import around
from bicerin.layer.blob import Blob
from bicerin.layer.operations import Operations


class AffineChain:
    """The forward pass of some layers on the host, in one pass over the array.

    Args:
        layers: of which only the last may have a slope.
        axis: of the channels.
        dtype: of the blobs.
    """

    operations = Operations("affine_chain_kernels")

    def __init__(self, layers: Sequence[Any], axis: int, dtype: np.dtype[Any]) -> None:
        self._layers, self._axis, self._dtype = layers, axis, dtype
        self._ops = self.operations.on(CPU, dtype, False)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        blob = bottom[0]
        if not blob.count:
            return
        rows = around(blob, self._axis)
        channels = rows[1]
        steps = affine_steps(self._layers)
        scale, shift, slope = Finish.of(None, steps, self._dtype)
        scale = scale if scale.size else np.ones(channels, self._dtype)
        shift = shift if shift.size else np.zeros(channels, self._dtype)
        self._ops.finish(blob.data.reshape(rows), scale, shift, self._dtype.type(slope), top[0].data.reshape(rows))
