"""ChannelScale: all channels of a place times one number.

y = x · s, one s for each place of each item. With `do_forward: false` y = x. With `global_scale` y = x · b: b, the
blob, is `init_global_scale` at first, and is kept within min_global_scale and max_global_scale, in the blob; the
gradients are those of x · s still, and the blob has none.

`do_backward_feature: false` passes dy down to x as it is, `do_backward_scale: false` nothing to s.

Source: the ChannelScaleLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, between


class ChannelScaleLayer(Layer):
    """Bottom 0: x, `(N, C, ...)`. Bottom 1: s, `(N, 1, ...)`. Top 0: the shape of x. Top 1, optional: b, `(1,)`."""

    type = "ChannelScale"
    counts = BlobCounts(bottom=2, top=between(1, 2))
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.channel_scale_param
        self.is_global: bool = param.global_scale
        if self.is_global:
            is_new = not self.blobs
            self.declare_blobs(((1,), None), learned=False)
            if is_new and not self.context.shapes_only:
                self.blobs[0].data[...] = param.init_global_scale
        elif len(top) > 1:
            raise ShapeError("a second top, the global scale, is for global_scale: true.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, s = bottom
        if x.num_axes < 2 or s.count != x.shape[0] * x.count_between(2) or s.shape[:1] != x.shape[:1]:
            raise ShapeError(
                f"bottom 1 must have the shape {(*x.shape[:1], 1, *x.shape[2:])}, a number for each place of "
                f"{x.shape}: {s.shape}."
            )
        self.planes = (*x.shape[:2], x.count_between(2))
        top[0].reshape_like(x)
        if len(top) > 1:
            top[1].reshape(1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, param = self.xp, self.param.channel_scale_param
        x, s = bottom[0].data, bottom[1].data
        if self.is_global:
            b = self.blobs[0].data
            xp.clip(b, param.min_global_scale, param.max_global_scale, out=b)
            xp.multiply(x, b.reshape((1,) * x.ndim), out=top[0].data)
            if len(top) > 1:
                top[1].data[...] = b
        elif param.do_forward:
            places = s.reshape(self.planes[0], 1, self.planes[2])
            xp.multiply(x.reshape(self.planes), places, out=top[0].data.reshape(self.planes))
        else:
            top[0].data[...] = x

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp, param = self.xp, self.param.channel_scale_param
        y_diff = top[0].diff.reshape(self.planes)
        places = (self.planes[0], 1, self.planes[2])
        if propagate_down[0]:
            x_diff = bottom[0].diff.reshape(self.planes)
            if param.do_backward_feature:
                xp.multiply(y_diff, bottom[1].data.reshape(places), out=x_diff)
            else:
                x_diff[...] = y_diff
        if propagate_down[1]:
            s_diff = bottom[1].diff.reshape(places)
            if param.do_backward_scale:
                s_diff[...] = (y_diff * bottom[0].data.reshape(self.planes)).sum(axis=1, keepdims=True)
            else:
                s_diff[...] = 0
