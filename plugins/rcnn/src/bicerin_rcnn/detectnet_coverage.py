"""What DetectNet learns of an image's objects: for each cell of a grid, whose it is and where that object lies.

An object's coverage is a rectangle around its middle: the object's, times `scale_cvg`, but along either axis

- at least `min_cvg_len` pixels, and no more than the object, with `GRIDBOX_MIN`;
- at most `max_cvg_len` pixels, with `GRIDBOX_MAX`.

The cells that it reaches into are the object's; of several objects the last one in the list takes the cell.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bicerin.errors import LayerError

#: Channels before those of the classes.
FIXED = 8

_LEAST = float(np.finfo(np.float32).eps)
"""Of an area, in pixels or in cells: less is none."""


class Coverage:
    """The grid of a layer.

    Args:
        param: a `DetectNetGroundTruthParameter`.

    Attributes:
        shape: of what an image's objects become, `(8 + classes, rows, columns)`: `image_size` by `stride`, rounded.

    Raises:
        LayerError: there would be no cell, or a number that must be greater than 0 is not.
    """

    def __init__(self, param: Any) -> None:
        if not param.stride:
            raise LayerError("stride must be greater than 0.")
        self.stride: int = param.stride
        self.image_size: tuple[int, int] = param.image_size_y, param.image_size_x
        self.scale: float = param.scale_cvg
        if not self.scale >= 0:
            raise LayerError(f"scale_cvg must not be negative: {self.scale:g}.")
        self.is_least: bool = param.gridbox_type == type(param).GRIDBOX_MIN
        self.length: int = param.min_cvg_len if self.is_least else param.max_cvg_len
        self.least_weight = 0.0 if param.obj_norm else 1.0
        self.crops: bool = param.crop_bboxes
        #: From a label's class to that of the coverage.
        self.classes: dict[int, int] = {each.src: each.dst for each in param.object_class} or {1: 0}
        rows, columns = (round(size / self.stride) for size in self.image_size)  # halves to even, as OpenCV rounds
        if not rows or not columns:
            height, width = self.image_size
            raise LayerError(f"an image of {height} x {width} has no cell of stride {self.stride}.")
        self.shape = FIXED + 1 + max(self.classes.values()), rows, columns

    def __call__(self, boxes: np.ndarray, classes: np.ndarray, out: np.ndarray) -> None:
        """Write what the objects of an image become.

        Args:
            boxes: x1, y1, width and height in pixels of the image, `(B, 4)`.
            classes: of the labels, `(B,)`.
            out: of the grid's shape. The channels, all 0 where a cell is nobody's: 1; the object's corners x1, y1, x2,
                y2, from the cell's own upper left one; 1 / its width, 1 / its height; its weight, the area of a cell
                over that of its coverage, without `obj_norm` at least 1; for each class, 1 where it is the object's.
        """
        out[...] = 0
        for box, label in zip(boxes.tolist(), classes.tolist(), strict=True):
            corners = self._corners(box)
            if int(label) in self.classes and corners is not None:
                self._mark(corners, FIXED + self.classes[int(label)], out)

    def _corners(self, box: list[float]) -> tuple[float, float, float, float] | None:
        """x1, y1, x2, y2, cut off at the image where that is wanted; None where nothing is left."""
        x1, y1, width, height = box
        x2, y2 = x1 + width, y1 + height
        if self.crops:
            bottom, right = self.image_size
            x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, right), min(y2, bottom)
        exists = x2 > x1 and y2 > y1 and (x2 - x1) * (y2 - y1) >= _LEAST
        return (x1, y1, x2, y2) if exists else None

    def _mark(self, corners: tuple[float, float, float, float], channel: int, out: np.ndarray) -> None:
        x1, y1, x2, y2 = corners
        left, right = self._covered(x1, x2)
        upper, lower = self._covered(y1, y2)
        area = (right - left) * (lower - upper)
        columns, across = self._cells(left, right, out.shape[2])
        rows, down = self._cells(upper, lower, out.shape[1])
        reached = np.multiply.outer(down, across) / self.stride**2 > _LEAST
        if not reached.any():
            return
        values = np.zeros((len(out), *reached.shape))
        origin_x, origin_y = columns * self.stride, rows[:, None] * self.stride
        values[0] = 1
        values[1], values[2], values[3], values[4] = x1 - origin_x, y1 - origin_y, x2 - origin_x, y2 - origin_y
        values[5], values[6] = 1 / (x2 - x1), 1 / (y2 - y1)
        values[7] = max(self.least_weight, self.stride**2 / area)
        values[channel] = 1
        part = out[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        part[:, reached] = values[:, reached]

    def _covered(self, start: float, stop: float) -> tuple[float, float]:
        """Where along an axis the coverage of an object begins and ends."""
        length = stop - start
        covered = length * self.scale
        covered = min(length, max(self.length, covered)) if self.is_least else min(self.length, covered)
        return (start + stop - covered) / 2, (start + stop + covered) / 2

    def _cells(self, start: float, stop: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The cells along an axis that a coverage reaches into, and how many pixels of each it covers."""
        first, last = max(math.floor(start / self.stride), 0), min(math.ceil(stop / self.stride), count)
        cells = np.arange(first, max(first, last))
        covered = np.minimum(stop, (cells + 1) * self.stride) - np.maximum(start, cells * self.stride)
        return cells, np.maximum(covered, 0)
