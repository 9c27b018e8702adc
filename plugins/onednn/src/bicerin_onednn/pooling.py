"""Pooling by oneDNN where the bottom is in one of its layouts. Source: oneDNN's pooling primitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob
from bicerin_onednn import library as dnn
from bicerin_onednn.arranged import ArrangedLayer
from bicerin_onednn.layout import OneDNNLayout, any_of, dims, layout_of
from bicerin_onednn.library import library
from bicerin_onednn.primitive import Primitive
from bicerin_pooling.pooling import PoolingLayer
from bicerin_pooling.window import Window


class OneDNNPoolingLayer(ArrangedLayer, PoolingLayer):
    """MAX without a mask, and AVE where Caffe's area of a window is one of the library's two."""

    def make(self, bottom: Sequence[Blob], layouts: Sequence[OneDNNLayout]) -> tuple[Primitive, OneDNNLayout] | None:
        found = window_of(self, bottom[0].shape)
        if found is None or len(self.top_shapes) > 1:
            return None
        (algorithm, window), pooled = found, self.pooling.shape
        dll = library()
        descriptor = dll.make(
            "pooling_forward_primitive_desc_create",
            dll.engine,
            dnn.INFERENCE,
            algorithm,
            layouts[0].handle,
            any_of(pooled),
            *window,
            None,
        )
        target = layout_of(pooled, dll.memory_descriptor(descriptor, dnn.QUERY_DST))
        return Primitive(descriptor, {dnn.SRC: layouts[0].handle, dnn.DST: target.handle}), target


def window_of(layer: PoolingLayer, shape: tuple[int, ...]) -> tuple[int, Sequence[Any]] | None:
    """The library's algorithm, and its strides, kernel, dilation and padding, for a bottom of this shape; None where it
    has none that computes the same.
    """
    pooled = layer.pooling.shape
    window = layer.window or Window(shape[2], shape[3], 1, 1, 0, 0)
    kernel, stride, pad = window[0:2], window[2:4], window[4:6]
    after = [
        (number - 1) * step + size - length - before
        for number, step, size, length, before in zip(pooled[2:], stride, kernel, shape[2:], pad, strict=True)
    ]
    if layer.method == "MAX":
        algorithm = dnn.POOL_MAX
    elif layer.method == "AVE" and (not any(pad) or not layer.counts_padding):
        # A window that reaches over the edge is divided by what of it is in the plane.
        algorithm = dnn.POOL_AVERAGE
    elif layer.method == "AVE" and all(end <= before for end, before in zip(after, pad, strict=True)):
        algorithm = dnn.POOL_AVERAGE_WITH_PADDING
    else:
        return None
    if any(end >= size for end, size in zip(after, kernel, strict=True)):
        return None
    return algorithm, (dims(stride), dims(kernel), dims((0, 0)), dims(pad), dims(after))
