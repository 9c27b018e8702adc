"""PriorBox: the default boxes that a detector's predictions are relative to. Liu et al., SSD, 2016, section 2.2.

For each cell of a feature map and each `min_size`: a square of that size, one of sqrt(min_size * max_size), and, for
each aspect ratio r, width = min_size * sqrt(r), height = min_size / sqrt(r); with `flip` for 1 / r too.

Source: the PriorBoxLayer of SSD's Caffe. As there, sizes are cut to whole pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, sqrt
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class PriorBoxLayer(Layer):
    """Bottoms: the feature map `(N, C, H, W)` and the image `(N, C, H', W')`, of which only the shapes count. Top:
    `(1, 2, H * W * priors * 4)`: row 0 the boxes, xmin, ymin, xmax, ymax as fractions of the image, row 1 their
    variances. Centres are `(cell + offset) * step` pixels.
    """

    type = "PriorBox"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.prior_box_param
        self.box_sizes = self.sizes(param)
        self.clip: bool = param.clip
        self.variance = _variance(param)
        self.image_size = _image_size(param)
        self.step = _step(param)
        self.offset = np.float32(param.offset)
        self._made_for: Any = None

    @staticmethod
    def sizes(param: Any) -> np.ndarray:
        """Width and height in pixels of each prior of a cell, float32, shape (priors, 2)."""
        if param.width or param.height:
            raise LayerError("width and height are PriorBoxClustered's.", "Sizes are given by min_size here.")
        return box_sizes(param)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        cells, image = bottom[0].shape[2:], bottom[1].shape[2:]
        if len(cells) != 2 or (self.image_size is None and len(image) != 2):
            raise ShapeError("the feature map and the image must have 4 axes (num, channels, height, width).")
        if not cells[0] * cells[1]:
            raise ShapeError(f"the feature map has no cells: height {cells[0]}, width {cells[1]}.")
        top[0].reshape(1, 2, cells[0] * cells[1] * len(self.box_sizes) * 4)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        cells = bottom[0].shape[2:]
        image = self.image_size or bottom[1].shape[2:]
        if self._made_for != (cells, image):
            # They depend on shapes alone, so that all passes after the first write what is there.
            self._priors = self._boxes(xp, cells, image)
            self._made_for = (cells, image)
        top[0].data[...] = self._priors

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        # Values do not matter, but what feeds a feature map may ask.
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)

    def _boxes(self, xp: Any, cells: Sequence[int], image: Sequence[int]) -> Any:
        """Row 0 the boxes, row 1 the variances; shape (1, 2, H * W * priors * 4)."""
        steps: Sequence[Any] = self.step or tuple(
            np.float32(size) / np.float32(count) for size, count in zip(image, cells, strict=True)
        )
        rows, columns = (
            ((xp.arange(count, dtype=np.float32) + self.offset) * np.float32(step)).astype(np.float64)
            for count, step in zip(cells, steps, strict=True)
        )
        half = xp.asarray(self.box_sizes, np.float64) / 2
        boxes = xp.empty((*cells, len(half), 2, 2))
        for side, sign in ((0, -1), (1, 1)):
            boxes[..., side, 0] = (columns[None, :, None] + sign * half[:, 0]) / image[1]
            boxes[..., side, 1] = (rows[:, None, None] + sign * half[:, 1]) / image[0]
        if self.clip:
            boxes = xp.clip(boxes, 0, 1)
        variances = xp.broadcast_to(xp.asarray(self.variance, np.float64), (boxes.size // 4, 4))
        return xp.stack([boxes.reshape(-1), variances.reshape(-1)])[None].astype(self.dtype)


def box_sizes(param: Any) -> np.ndarray:
    """Width and height in pixels of each prior of a cell, in order: float32, shape (priors, 2).

    Raises:
        LayerError: sizes are missing, not positive or not in pairs.
    """
    if not param.min_size:
        raise LayerError("must provide min_size.")
    if min(param.min_size) <= 0:
        raise LayerError(f"min_size must be positive, not {min(param.min_size):g}.")
    if param.max_size and len(param.max_size) != len(param.min_size):
        raise LayerError(f"there are {len(param.max_size)} max_size for {len(param.min_size)} min_size.")
    for name in ("min_size", "max_size", "aspect_ratio"):
        for value in getattr(param, name):
            if not isfinite(value):
                raise LayerError(f"{name} must be a finite number, not {value}.")
    ratios = _aspect_ratios(param)
    sizes: list[tuple[float, float]] = []
    for index, least in enumerate(param.min_size):
        size = int(least)
        sizes.append((size, size))
        if param.max_size:
            most = param.max_size[index]
            if most <= least:
                raise LayerError(f"max_size must be greater than min_size: {most:g} against {least:g}.")
            between = sqrt(size * int(most))
            sizes.append((between, between))
        sizes += [(size * sqrt(ratio), size / sqrt(ratio)) for ratio in ratios]
    return np.array(sizes, np.float32)


def _aspect_ratios(param: Any) -> list[float]:
    """The ratios other than 1, each once."""
    ratios: list[float] = []
    for ratio in param.aspect_ratio:
        if ratio <= 0:
            raise LayerError(f"aspect_ratio must be positive, not {ratio:g}.")
        if any(abs(ratio - other) < 1e-6 for other in [1.0, *ratios]):
            continue
        ratios.append(ratio)
        if param.flip:
            ratios.append(float(np.float32(1 / ratio)))
    return ratios


def _variance(param: Any) -> np.ndarray:
    if len(param.variance) not in (0, 1, 4):
        raise LayerError(f"Must and only provide 4 variance, or 1 for all; there are {len(param.variance)}.")
    if any(value <= 0 for value in param.variance):
        raise LayerError(f"variance must be positive, not {min(param.variance):g}.")
    return np.array(param.variance or [0.1], np.float32)


def _image_size(param: Any) -> tuple[int, int] | None:
    """Height and width, where the parameters give them."""
    if param.HasField("img_h") or param.HasField("img_w"):
        if param.HasField("img_size"):
            raise LayerError("Either img_size or img_h/img_w should be specified; not both.")
        size = (param.img_h, param.img_w)
        names = ("img_h", "img_w")
    elif param.HasField("img_size"):
        size, names = (param.img_size, param.img_size), ("img_size", "img_size")
    else:
        return None
    for name, value in zip(names, size, strict=True):
        if value <= 0:
            raise LayerError(f"{name} should be larger than 0.")
    return size


def _step(param: Any) -> tuple[float, float] | None:
    """Pixels from cell to cell down and across, where the parameters give them."""
    if param.HasField("step_h") or param.HasField("step_w"):
        if param.HasField("step"):
            raise LayerError("Either step or step_h/step_w should be specified; not both.")
        step = (param.step_h, param.step_w)
        names = ("step_h", "step_w")
    elif param.HasField("step"):
        step, names = (param.step, param.step), ("step", "step")
    else:
        return None
    for name, value in zip(names, step, strict=True):
        if value <= 0:
            raise LayerError(f"{name} should be larger than 0.")
    return step
