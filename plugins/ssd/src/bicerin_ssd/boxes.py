"""Boxes as arrays of shape `(..., 4)`: xmin, ymin, xmax, ymax, as fractions of the image's width and height."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bicerin.device import CudaSource
from bicerin.errors import LayerError
from bicerin_ssd.resize import mode_name, padded_part

#: Decoding, matching and suppression on a device, for several layers.
CUDA = CudaSource(Path(__file__).with_name("boxes.cu"))


def sizes(boxes: np.ndarray, normalized: bool = True) -> np.ndarray:
    """The area of each box, shape `(...)`; 0 for one whose corners are the wrong way round.

    Args:
        normalized: False for boxes in pixels, which count both of their edges.
    """
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return _area(width, height, normalized)


def overlaps(
    boxes: np.ndarray,
    others: np.ndarray,
    normalized: bool = True,
    box_sizes: np.ndarray | None = None,
    other_sizes: np.ndarray | None = None,
) -> np.ndarray:
    """The Jaccard overlap of every pair, intersection over union: shape `(N, M)` for N and M boxes.

    Args:
        box_sizes, other_sizes: areas to count with, where not those of `sizes`.
    """
    shared = _shared(boxes, others, normalized)
    one = sizes(boxes, normalized) if box_sizes is None else box_sizes
    other = sizes(others, normalized) if other_sizes is None else other_sizes
    union = one[:, None] + other[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def coverages(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """How much of each box, `(N, 4)`, is covered by each other, `(M, 4)`: shape `(N, M)`, 0 to 1."""
    shared = _shared(boxes, by, normalized=True)
    return np.divide(shared, sizes(boxes)[:, None], out=np.zeros_like(shared), where=shared > 0)


def _shared(boxes: np.ndarray, others: np.ndarray, normalized: bool) -> np.ndarray:
    """The area that each pair shares, `(N, M)`; fastest where the second ones are many."""
    (x0, y0, x1, y1), (u0, v0, u1, v1) = boxes.T[..., None], np.ascontiguousarray(others.T)
    return _area(np.minimum(x1, u1) - np.maximum(x0, u0), np.minimum(y1, v1) - np.maximum(y0, v0), normalized)


def _area(width: np.ndarray, height: np.ndarray, normalized: bool) -> np.ndarray:
    apart = (width < 0) | (height < 0)
    area = width * height if normalized else (width + 1) * (height + 1)
    return np.where(apart, 0, area)


def crossing(boxes: np.ndarray) -> np.ndarray:
    """Whether each box reaches beyond the image, shape `(...)`."""
    return np.asarray(((boxes < 0) | (boxes > 1)).any(axis=-1))


def located(boxes: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Boxes that are given relative to the box `within`, relative to what that is relative to."""
    extent = np.tile(within[2:] - within[:2], 2)
    return boxes * extent + np.tile(within[:2], 2)


def projected(boxes: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes relative to the box `onto`, clipped to it, and which of them have a part of it: `(N, 4)` and `(N,)`."""
    touching = (
        (boxes[:, 0] < onto[2]) & (boxes[:, 2] > onto[0]) & (boxes[:, 1] < onto[3]) & (boxes[:, 3] > onto[1])
    )  # fmt: skip
    extent = np.tile(onto[2:] - onto[:2], 2)
    inside = np.clip((boxes - np.tile(onto[:2], 2)) / extent, 0, 1)
    return inside, touching & (sizes(inside) > 0)


def in_pixels(boxes: np.ndarray, image: tuple[int, int], resize: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of a network's input in pixels of the image that was resized to it, and their areas in pixels.

    Args:
        boxes: shape (N, 4).
        image: height and width of the original image.
        resize: the `ResizeParameter` that it was resized with; None for a plain one.
    """
    height, width = image
    scale = np.array((width, height, width, height), boxes.dtype)
    mode = "WARP" if resize is None else mode_name(resize)
    if resize is not None and not (resize.height and resize.width):
        raise LayerError(f"resize_param: height {resize.height} and width {resize.width} must be greater than 0.")
    if mode == "FIT_SMALL_SIZE" and resize.height_scale and resize.width_scale:
        network = np.array((resize.width_scale, resize.height_scale) * 2, boxes.dtype)
        pixels = np.clip(boxes * network, 0, scale)
        return pixels, sizes(pixels)
    if mode == "FIT_LARGE_SIZE_AND_PAD":
        inside, found = projected(boxes, padded_part(resize, image).astype(boxes.dtype))
        boxes = np.where(found[:, None], inside, boxes)
    pixels = np.clip(boxes, 0, 1) * scale
    return pixels, sizes(pixels, normalized=height <= 1 and width <= 1)
