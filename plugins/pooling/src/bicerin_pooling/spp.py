"""SPP: spatial pyramid pooling, a vector of fixed length from planes of any size.

Pool each plane into 1 x 1, 2 x 2, 4 x 4 .. bins, `pyramid_height` levels, and concatenate them.

Level l has windows of ceil(H / 2^l) x ceil(W / 2^l) that touch without overlapping, centred by padding.

Source: He et al., 2014; Caffe's SPPLayer. As there, a plane too small for its bins is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, enum_name, image_shape
from bicerin_pooling.plane_pooling import METHODS, OPERATIONS, PlanePooling, plane_pooling
from bicerin_pooling.window import Window


class SPPLayer(Layer):
    """Bottom: `(N, C, H, W)`. Top: `(N, C * (4^pyramid_height - 1) / 3)`, level by level, each in the order (channel,
    bin row, bin column); with a `pyramid_height` of 1, as in Caffe, the pooled planes `(N, C, 1, 1)`.
    """

    type = "SPP"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False
    operations = OPERATIONS

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.spp_param
        self.method = enum_name(param, "pool", METHODS)
        self.pyramid_height: int = param.pyramid_height
        if self.pyramid_height < 1:
            raise ShapeError("pyramid_height must be at least 1, not 0.")
        self.levels: list[PlanePooling] = []
        #: What each level pools to, and its gradient.
        self.pooled: list[Blob] = []
        self.level_diff = self.new_blob()
        self.pooled_from: tuple[int, ...] | None = None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if self.pooled_from != shape:
            image_shape(bottom[0])
            if min(shape[2:]) == 0:
                raise ShapeError(f"Input dimensions cannot be zero: {shape[2]} x {shape[3]}.")
            # The first level that the plane is too small for ends this, however high the pyramid is to be.
            self.levels = [self._level(2**level, shape) for level in range(self.pyramid_height)]
            self.pooled = self.pooled or [self.new_blob() for _ in self.levels]
            for blob, level in zip(self.pooled, self.levels, strict=True):
                blob.reshape(*level.shape)
            self.level_diff.reshape(*shape)
            self.pooled_from = shape
        if self.pyramid_height == 1:
            top[0].reshape(*self.levels[0].shape)
        else:
            top[0].reshape(shape[0], sum(prod(level.shape[1:]) for level in self.levels))

    def _level(self, bins: int, shape: tuple[int, ...]) -> PlanePooling:
        kernel = [-(-size // bins) for size in shape[2:]]
        pad = [(length * bins - size + 1) // 2 for length, size in zip(kernel, shape[2:], strict=True)]
        if self.method == "STOCHASTIC" and any(pad):
            raise ShapeError(
                "Padding implemented only for average and max pooling.",
                f"Planes of {shape[2]} x {shape[3]} need padding to divide into {bins} x {bins} bins.",
            )
        try:
            return plane_pooling(self.method, self, Window(*kernel, *kernel, *pad), shape)
        except ShapeError as error:
            raise ShapeError(
                f"a plane of {shape[2]} x {shape[3]} does not divide into {bins} x {bins} bins: {error.reason}",
                "A smaller pyramid_height or a larger bottom is needed.",
            ) from None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        rows = top[0].data.reshape(top[0].shape[0], prod(top[0].shape[1:]))
        start = 0
        for level, blob in zip(self.levels, self.pooled, strict=True):
            pooled = blob.data
            level.forward(bottom[0].data, pooled)
            flat = pooled.reshape(len(rows), prod(pooled.shape[1:]))
            rows[:, start : start + flat.shape[1]] = flat
            start += flat.shape[1]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        rows = top[0].diff.reshape(top[0].shape[0], prod(top[0].shape[1:]))
        diff = bottom[0].diff
        start = 0
        for level, blob in zip(self.levels, self.pooled, strict=True):
            flat = blob.diff.reshape(len(rows), prod(blob.shape[1:]))
            flat[...] = rows[:, start : start + flat.shape[1]]
            target = self.level_diff.data if start else diff
            level.backward(bottom[0].data, target, blob.data, blob.diff)
            if start:
                diff += target
            start += flat.shape[1]
