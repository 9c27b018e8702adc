"""UnitChannels: each pixel's channels divided by their norm, without anything learned: happynear's layer Normalize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, Layer

EPS = 1e-6


class UnitChannels:
    """y = x / sqrt(sum of x^2 + 1e-6), or with L1 x / (sum of |x| + 1e-6), over the channels.

    Bottom: `(N, C)` to `(N, C, H, W)`. Tops: `(N, C, H, W)`, and the norms `(N, 1, H, W)`, whose gradient counts with
    `bp_norm` only. Source: happynear/caffe-windows. With L1 the gradient is (g - sign(x) * sum(y * g)) / norm.

    Args:
        layer: whose buffers it makes.
        param: its `LayerParameter`: `normalize_param`, or of the fork's first years `softmax_param { normalize_type }`.
    """

    def __init__(self, layer: Layer, param: Any) -> None:
        older, param = param.softmax_param, param.normalize_param
        kind = param.normalize_type
        if older.HasField("normalize_type") and not param.HasField("normalize_type"):
            kind = older.normalize_type
        if kind not in ("L1", "L2"):
            raise LayerError(f"normalize_type: {kind} is not known to this layer.", "It is L2 or L1.")
        if param.fix_gradient:
            raise LayerError(
                "fix_gradient is known to the fork's GPU code alone, and not to this layer.", "Leave it out."
            )
        self.first_power: bool = kind == "L1"
        self.takes_norm_gradient: bool = param.bp_norm
        self.xp = layer.xp
        self.norm = layer.new_blob(name="norm")
        #: y, which a later layer may overwrite, and x in place.
        self.unit, self.kept = layer.new_blob(name="unit"), layer.new_blob(name="kept")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        blob = bottom[0]
        shape = (blob.num, blob.channels, blob.height, blob.width)
        self.in_place = top[0] is blob
        self.planes = (*shape[:2], shape[2] * shape[3])
        top[0].reshape(*shape)
        self.norm.reshape(shape[0], 1, self.planes[2])
        self.unit.reshape(*self.planes)
        if self.in_place:
            self.kept.reshape(*self.planes)
        if len(top) > 1:
            top[1].reshape(shape[0], 1, *shape[2:])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        x, norm, unit = bottom[0].data.reshape(self.planes), self.norm.data, self.unit.data
        if self.in_place:
            self.kept.data[...] = x
        if self.first_power:
            norm[...] = xp.abs(x).sum(axis=1, keepdims=True)
            norm += x.dtype.type(EPS)
        else:
            norm[...] = xp.square(x).sum(axis=1, keepdims=True)
            norm += x.dtype.type(EPS)
            xp.sqrt(norm, out=norm)
        xp.divide(x, norm, out=unit)
        top[0].data.reshape(self.planes)[...] = unit
        if len(top) > 1:
            top[1].data.reshape(norm.shape)[...] = norm

    def backward(self, top: Sequence[Blob], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        y_diff, unit, norm = top[0].diff.reshape(self.planes), self.unit.data, self.norm.data
        # What the norm changes by with each x.
        slope = unit
        if self.first_power:
            slope = xp.sign(self.kept.data if self.in_place else bottom[0].data.reshape(self.planes))
        along = (unit * y_diff).sum(axis=1, keepdims=True)
        x_diff = (y_diff - slope * along) / norm
        if self.takes_norm_gradient and len(top) > 1:
            x_diff += slope * top[1].diff.reshape(norm.shape)
        bottom[0].diff.reshape(self.planes)[...] = x_diff
