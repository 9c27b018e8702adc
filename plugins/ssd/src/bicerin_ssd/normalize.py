"""Normalize: pixels or images scaled to length 1, then by learned factors. Liu et al., ParseNet, 2015.

Another fork, happynear/caffe-windows, has another layer of this name, which learns nothing: `UnitChannels`. With
`norm_param`, or with a blob, a layer is SSD's; with `normalize_param` or a second top it is happynear's. With none of
these it is taken for happynear's where there is one pixel, as its nets normalize features, and for SSD's where there
are more; a warning says so.

top = scale * x / |x|, with |x| = sqrt(sum of x^2 + eps) over an image, or a pixel without `across_spatial`.

Source: the NormalizeLayer of SSD's Caffe. As there, the gradient of the bottom is scale * (g - x * sum(x * g) / |x|^2)
/ |x|, for g = the gradient of top: exact where the factors of all channels are equal, since the sum leaves them out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, between
from bicerin_ssd.unit_channels import UnitChannels

_log = logging.getLogger("bicerin.ssd")


class NormalizeLayer(Layer):
    """Bottom and top: `(N, C)` to `(N, C, H, W)`. Blob: the scale, `()`, or `(C,)` without `channel_shared`; filled by
    `scale_filler`, with 1 by default. In place is allowed.
    """

    type = "Normalize"
    counts = BlobCounts(bottom=1, top=between(1, 2))
    _happynears: UnitChannels | None = None

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._require_axes(bottom[0])
        if self._is_happynears(bottom[0], top):
            self._happynears = UnitChannels(self, self.param)
            return
        param = self.param.norm_param
        self.eps: float = param.eps
        self.axes: tuple[int, ...] = (1, 2) if param.across_spatial else (1,)
        shape = () if param.channel_shared else (bottom[0].channels,)
        if len(self.blobs) == 1 and self.blobs[0].count == 1:
            self.blobs[0].reshape(*shape)  # Some files hold the one factor as (1,).
        filled = bool(self.blobs) or param.HasField("scale_filler")
        self.declare_blobs((shape, param.scale_filler if filled else None))
        if not filled:
            self.blobs[0].blob.data.fill(1)
        #: x itself where the top replaces it, and products of x's shape.
        self.kept, self.product = self.new_blob(), self.new_blob()

    def _is_happynears(self, bottom: Blob, top: Sequence[Blob]) -> bool:
        given = {name for name in ("norm_param", "normalize_param") if self.param.HasField(name)}
        if self.param.softmax_param.HasField("normalize_type"):
            given.add("normalize_param")
        ssds, other = "norm_param" in given or bool(self.blobs), "normalize_param" in given or len(top) > 1
        if ssds and other:
            raise LayerError(
                "norm_param and blobs are of SSD's Normalize; normalize_param and a second top of happynear's, another "
                "layer.",
                "Take out what is not of the one that you mean.",
            )
        if not (ssds or other):
            other = bottom.count_between(2) == 1
            _log.warning(
                'layer "%s": Normalize without parameters is taken for %s; write norm_param { } for SSD\'s, which '
                "learns a scale, or normalize_param { } for happynear's, which divides by the norm of each pixel's "
                "channels",
                self.name,
                "happynear's, since there is one pixel" if other else "SSD's, since there are several pixels",
            )
        return other

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._happynears is not None:
            self._happynears.reshape(bottom, top)
            return
        blob, scale = bottom[0], self.blobs[0]
        self._require_axes(blob)
        if scale.num_axes and scale.count != blob.channels:
            raise ShapeError(
                "Scale size is inconsistent with prototxt config: "
                f"there are {scale.count} factors for {blob.channels} channels."
            )
        self.planes = (blob.num, blob.channels, blob.height * blob.width)
        self.in_place = top[0] is blob
        self.product.reshape(*self.planes)
        if self.in_place:
            self.kept.reshape(*self.planes)
        top[0].reshape_like(blob)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._happynears is not None:
            self._happynears.forward(bottom, top)
            return
        xp = self.xp
        x, y = bottom[0].data.reshape(self.planes), top[0].data.reshape(self.planes)
        if self.in_place:
            self.kept.data[...] = x
        squares = xp.square(x, out=self.product.data)
        self.norm = xp.sqrt(squares.sum(axis=self.axes, keepdims=True) + x.dtype.type(self.eps))
        xp.divide(x, self.norm, out=y)
        y *= self._scale(xp)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self._happynears is not None:
            if propagate_down[0]:
                self._happynears.backward(top, bottom)
            return
        xp = self.xp
        x = self.kept.data if self.in_place else bottom[0].data.reshape(self.planes)
        y_diff = top[0].diff.reshape(self.planes)
        product = xp.multiply(x, y_diff, out=self.product.data)
        along = product.sum(axis=self.axes, keepdims=True)
        if self.param_propagate_down(0):
            product /= self.norm
            scale_diff = self.blobs[0].diff
            scale_diff += product.sum(axis=(0, 2) if scale_diff.ndim else None)
        if propagate_down[0]:
            x_diff = bottom[0].diff.reshape(self.planes)
            along /= xp.square(self.norm)
            xp.subtract(y_diff, xp.multiply(x, along, out=product), out=x_diff)
            x_diff /= self.norm
            x_diff *= self._scale(xp)

    def _scale(self, xp: Any) -> Any:
        scale = self.blobs[0].data
        return scale.reshape(1, -1, 1)

    @staticmethod
    def _require_axes(blob: Blob) -> None:
        if blob.num_axes < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2, not {blob.num_axes}.")
