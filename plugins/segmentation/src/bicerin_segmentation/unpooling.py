"""UnPooling: each pixel becomes a window of the top, the reverse of a pooling.

The window of pixel (h, w) begins at (h stride - pad, w stride - pad) and is `out_kernel` large.

- FIXED: the pixel goes to the middle of its window, floor((begin + end - 1) / 2), the other places are 0. Of several
  pixels in one place, the last stays.
- REP: the pixel goes to all places of its window; a place in several windows gets their mean.
- DIV: as REP, after a division by the window's size, padding included.

With a second bottom the top has about its size: kernel and stride are the ratio of the sizes, rounded up (the stride of
a single row or column is 1), and the padding takes half of what is too much.

All of it is separable, a matrix for the rows and one for the columns: y = D x A^T.

Source: the UnPoolingLayer of weiliu89/caffe, branch fcn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, between, enum_name, image_shape
from bicerin_segmentation.band import Band, BandBlobs

METHODS = ("FIXED", "DIV", "REP")


class UnPoolingLayer(Layer):
    """Bottom 0: `(N, C, H, W)`. Bottom 1, optional: `(_, _, H', W')`, of which only the size counts. Top:
    `(N, C, (H - 1) stride - 2 pad + kernel, ...)`.
    """

    type = "UnPooling"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    operations = Operations("band_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.unpooling_param
        self.method = enum_name(param, "unpool", METHODS)
        if len(bottom) == 1:
            self.kernel = window_sides(param, "out_kernel", "out_kernel_size")
            self.stride = window_sides(param, "out_stride", "out_stride")
            self.pad = window_sides(param, "out_pad", "out_pad")
        elif {field.name for field, _ in param.ListFields()} - {"unpool"}:
            raise ShapeError(
                "with a second bottom, kernel, stride and padding come from the sizes of both.",
                "Leave them out, or the second bottom.",
            )
        self.made_for: tuple[int, ...] = ()
        self.down, self.across = BandBlobs(self, "down"), BandBlobs(self, "across")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, channels, *sizes = image_shape(bottom[0])
        if len(bottom) > 1:
            image_shape(bottom[1])
            self._take_sizes(sizes, bottom[1].shape[2:])
        large = [
            (size - 1) * stride - 2 * pad + kernel
            for size, kernel, stride, pad in zip(sizes, self.kernel, self.stride, self.pad, strict=True)
        ]
        if any(size and length < 1 for size, length in zip(sizes, large, strict=True)):
            raise ShapeError(f"of {sizes[0]} x {sizes[1]} pixels, these windows leave {large[0]} x {large[1]}.")
        for axis, side in enumerate("hw"):
            if self.pad[axis] and self.pad[axis] >= self.kernel[axis]:
                raise ShapeError(
                    f"out_pad_{side} must be less than out_kernel_{side}: {self.pad[axis]} and {self.kernel[axis]}."
                )
        key = (*sizes, *self.kernel, *self.stride, *self.pad)
        if self.made_for != key:
            for blobs, size, length, window in zip(
                (self.down, self.across),
                sizes,
                large,
                zip(self.kernel, self.stride, self.pad, strict=True),
                strict=True,
            ):
                blobs.set(unpooling_band(self.method, size, max(length, 0), *window))
            self.made_for = key
        top[0].reshape(number, channels, *(max(length, 0) for length in large))
        self.planes = number * channels

    def _take_sizes(self, small: Sequence[int], large: Sequence[int]) -> None:
        if not all((*small, *large)):
            raise ShapeError(f"the sizes of both bottoms must be > 0: {tuple(small)} and {tuple(large)}.")
        self.kernel = tuple(-(-big // size) for size, big in zip(small, large, strict=True))
        self.stride = tuple(1 if kernel == big else kernel for kernel, big in zip(self.kernel, large, strict=True))
        self.pad = tuple(
            max(((size - 1) * stride + kernel - big) // 2, 0)
            for size, big, kernel, stride in zip(small, large, self.kernel, self.stride, strict=True)
        )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = self._planes(bottom[0].data), self._planes(top[0].data)
        self.ops.banded(x, *self.down.arrays(), *self.across.arrays(), y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            y_diff, x_diff = self._planes(top[0].diff), self._planes(bottom[0].diff)
            self.ops.banded(y_diff, *self.down.transposed(), *self.across.transposed(), x_diff)
        if len(bottom) > 1 and propagate_down[1]:
            bottom[1].diff.fill(0)

    def _planes(self, array: Any) -> Any:
        return array.reshape(self.planes, *array.shape[2:])


def unpooling_band(method: str, size: int, length: int, kernel: int, stride: int, pad: int) -> Band:
    """What becomes of `size` pixels along one axis, on `length` places."""
    begin = np.arange(size) * stride - pad
    matrix = np.zeros((length, size))
    if method == "FIXED":
        middle = np.clip((2 * begin + kernel - 1) // 2, 0, max(length - 1, 0))
        last = np.full(length, -1)
        last[middle] = np.arange(size)
        matrix[last >= 0, last[last >= 0]] = 1
        return Band(matrix)
    end = np.minimum(begin + kernel, length + pad)
    places = np.arange(length)[:, None]
    covered = (places >= begin) & (places < end)
    matrix[covered] = 1
    matrix /= np.maximum(covered.sum(axis=1, keepdims=True), 1)
    if method == "DIV":
        matrix /= end - begin
    return Band(matrix)


def window_sides(param: Any, stem: str, both: str) -> tuple[int, ...]:
    """A size down and across, of a field for both or of `stem`_h and `stem`_w; paddings may be 0.

    Raises:
        ShapeError: too few fields or too many, or a size of 0.
    """
    sides = [param.HasField(f"{stem}_{side}") for side in "hw"]
    if any(sides):
        if not all(sides) or param.HasField(both):
            raise ShapeError(f"{both} OR {stem}_h and {stem}_w are required; not both.")
        pair = (getattr(param, f"{stem}_h"), getattr(param, f"{stem}_w"))
    elif not param.HasField(both) and not param.DESCRIPTOR.fields_by_name[both].has_default_value:
        raise ShapeError(f"{both}, or {stem}_h and {stem}_w, are required.")
    else:
        pair = (getattr(param, both),) * 2
    if not stem.endswith("pad") and min(pair) < 1:
        raise ShapeError(f"{stem} must be > 0: {pair[0]} x {pair[1]}.")
    return pair
