"""Arrays as pictures: images as nets read them, filters and activations, as bytes that a file of pixels holds."""

from __future__ import annotations

import numpy as np


def pixels(images: np.ndarray, symmetric: bool = False) -> np.ndarray:
    """Images or filters as pixels, each from its own least value to its own largest.

    Args:
        images: (N, C, height, width), C 1, or 3 in the order blue, green, red, as nets of Caffe read images.
        symmetric: let 0 be the middle grey, as suits weights.

    Returns:
        uint8 (N, height, width, C), of three channels in the order red, green, blue. What is not finite is black.
    """
    values = np.moveaxis(np.asarray(images, np.float32), 1, 3)[..., ::-1]
    finite = np.isfinite(values)
    values = np.where(finite, values, 0)
    axes = (1, 2, 3)
    if symmetric:
        high = np.abs(values).max(axes, keepdims=True, initial=0)
        low = -high
    else:
        low = values.min(axes, keepdims=True, initial=np.inf, where=finite)
        high = values.max(axes, keepdims=True, initial=-np.inf, where=finite)
    span = high - low
    scaled = (values - np.where(np.isfinite(low), low, 0)) / np.where(np.isfinite(span) & (span > 0), span, 1)
    return np.where(finite, scaled * 255, 0).round().clip(0, 255).astype(np.uint8)


def grid(pictures: np.ndarray, columns: int | None = None, gap: int = 1, background: int = 0) -> np.ndarray:
    """Pictures of one size beside and below each other.

    Args:
        pictures: uint8 (N, height, width, C).
        columns: how many stand in a row; by default about as many as there are rows.
        gap: pixels between two.
        background: what is between them.

    Returns:
        uint8 (rows * (height + gap) - gap, columns * (width + gap) - gap, C).
    """
    count, height, width, channels = pictures.shape
    columns = max(1, min(count, columns or int(np.ceil(np.sqrt(count)))))
    rows = max(1, -(-count // columns))
    cells = np.full((rows * columns, height + gap, width + gap, channels), background, np.uint8)
    cells[:count, :height, :width] = pictures
    cells = cells.reshape(rows, columns, height + gap, width + gap, channels).transpose(0, 2, 1, 3, 4)
    whole = cells.reshape(rows * (height + gap), columns * (width + gap), channels)
    return whole[: rows * (height + gap) - gap, : columns * (width + gap) - gap]


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether a blob of that shape can be shown as images: (N, 1 or 3, height, width), each more than a pixel."""
    return len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) > 1
