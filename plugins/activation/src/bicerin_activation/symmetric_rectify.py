"""SymmetricRectify: y = x - t where x > t, x + t where x < -t, 0 between: soft shrinkage, t learned for each channel.

- bottom, top: shape (N, C, ...), at least 2 axes; it works in place, at the price of a copy of the bottom.
- blob 0: the thresholds, shape (C,), or () with `channel_shared`; `filler` is by default the constant 0.0001. What an
  update made negative is set to 0, in the blob.

Source: wenwei202's `SymmetricRectifyLayer` (Wen et al., "Learning structured sparsity in deep neural networks", 2016).
As there, `thre_decay` is subtracted from the gradient of each threshold that is above 0, so that it grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, NeuronLayer, Operations


class SymmetricRectifyLayer(NeuronLayer):
    """dy/dx is 1 where |x| > t, 0 elsewhere; ∂L/∂t is the sum of -sign(x) · ∂L/∂y over the elements with |x| > t."""

    type = "SymmetricRectify"
    operations = Operations("symmetric_rectify_kernels")
    keeps_bottom = True

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.symmetric_rectify_param
        self._require_channels(bottom[0])
        self.channels = bottom[0].shape[1]
        filler = param.filler if param.HasField("filler") else type(param.filler)(type="constant", value=0.0001)
        self.shared: bool = param.channel_shared
        is_new = not self.blobs
        self.declare_blobs((() if self.shared else (self.channels,), filler))
        if is_new and not self.context.shapes_only and (self.blobs[0].data < 0).any():
            raise LayerError("the filler gives thresholds below 0.", "Threshold of rectifying must not be negative.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._require_channels(bottom[0])
        if bottom[0].shape[1] != self.channels:
            raise ShapeError(f"the bottom has {bottom[0].shape[1]} channels, but the layer {self.channels} thresholds.")
        super().reshape(bottom, top)
        self.rows = (bottom[0].shape[0], self.channels, bottom[0].count_between(2))

    @staticmethod
    def _require_channels(bottom: Blob) -> None:
        if bottom.num_axes < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2: it has {bottom.num_axes}.")

    def _thresholds(self) -> Any:
        """One for each channel, shape (C,)."""
        return self.xp.ascontiguousarray(self.xp.broadcast_to(self.blobs[0].data.reshape(-1), (self.channels,)))

    def activate(self, x: Any, y: Any) -> None:
        thresholds = self.blobs[0].blob.on(self.context.device).data
        self.xp.maximum(thresholds, 0, out=thresholds)
        self.ops.forward(x.reshape(self.rows), self._thresholds(), y.reshape(self.rows))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        # First, since in place the bottom's gradient overwrites the top's.
        if self.param_propagate_down(0):
            self._add_threshold_gradient(self.input(bottom).reshape(self.rows), top[0].diff.reshape(self.rows))
        super().backward(top, propagate_down, bottom)

    def _add_threshold_gradient(self, x: Any, y_diff: Any) -> None:
        xp, blob = self.xp, self.blobs[0]
        passes = xp.abs(x) > self._thresholds()[:, None]
        sums = -(xp.sign(x) * passes * y_diff).sum(axis=(0, 2))
        blob.diff[...] += sums.sum() if self.shared else sums
        decay = self.param.symmetric_rectify_param.thre_decay
        if decay:
            blob.diff[...] -= (blob.data > 0) * self.dtype.type(decay)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        arrays = (array.reshape(self.rows) for array in (y_diff, x_diff))
        self.ops.backward(x.reshape(self.rows), self._thresholds(), *arrays)
