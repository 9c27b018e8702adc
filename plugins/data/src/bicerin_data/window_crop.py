"""Cut a window out of an image and warp it to a square, with context around it.

Source: Girshick et al., "Rich feature hierarchies for accurate object detection", 2014, supplement A, and Caffe's
`WindowDataLayer`, whose order of rounding is kept.
"""

from __future__ import annotations

from math import copysign, floor

import numpy as np

from bicerin.errors import DataError
from bicerin_data.image import opencv, pixels, planes


def warp_window(
    image: np.ndarray, window: tuple[int, int, int, int], crop_size: int, context_pad: int, square: bool, mirror: bool,
    dtype: np.dtype,
) -> tuple[np.ndarray, int, int]:  # fmt: skip
    """Cut and warp.

    Args:
        image: uint8 (C, H, W).
        window: x1, y1, x2, y2, all inside.
        crop_size: the side of the square.
        context_pad: how wide the context is in the warped square.
        square: widen the window to a square before warping.
        dtype: what the places are computed in.

    Returns:
        The warped part that is inside of the image, uint8 (C, h, w), and the row and column of the square where it
        begins.

    Raises:
        DataError: nothing of the window is inside of the image.
    """
    x1, y1, x2, y2 = window
    _, rows, columns = image.shape
    width = height = crop_size
    left = top = 0
    if context_pad or square:
        x1, x2, y1, y2 = _expanded(window, crop_size, context_pad, square, dtype)
        scale_x = dtype.type(crop_size) / dtype.type(x2 - x1 + 1)
        scale_y = dtype.type(crop_size) / dtype.type(y2 - y1 + 1)
        # How far the expanded window reaches out of the image; the square stays 0 there.
        beyond_left, beyond_right = max(0, -x1), max(0, x2 - columns + 1)
        beyond_top, beyond_bottom = max(0, -y1), max(0, y2 - rows + 1)
        x1, x2, y1, y2 = x1 + beyond_left, x2 - beyond_right, y1 + beyond_top, y2 - beyond_bottom
        width, height = _round(dtype.type(x2 - x1 + 1) * scale_x), _round(dtype.type(y2 - y1 + 1) * scale_y)
        top = _round(dtype.type(beyond_top) * scale_y)
        left = _round(dtype.type(beyond_right if mirror else beyond_left) * scale_x)
        width, height = min(width, crop_size - left), min(height, crop_size - top)
    if not (0 <= x1 <= x2 < columns and 0 <= y1 <= y2 < rows and width > 0 and height > 0):
        raise DataError(f"the window {window} is not inside the image of {columns} x {rows}.")
    cv2 = opencv()
    part = pixels(image[:, y1 : y2 + 1, x1 : x2 + 1])
    warped = planes(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR))
    return (warped[:, :, ::-1] if mirror else warped), top, left


def _expanded(
    window: tuple[int, int, int, int], crop_size: int, context_pad: int, square: bool, dtype: np.dtype
) -> tuple[int, int, int, int]:
    """The window with so much around it that the context is `context_pad` wide after warping: x1, x2, y1, y2."""
    x1, y1, x2, y2 = window
    scale = dtype.type(crop_size) / dtype.type(crop_size - 2 * context_pad)
    half_width, half_height = dtype.type((x2 - x1 + 1) / 2), dtype.type((y2 - y1 + 1) / 2)
    center_x, center_y = dtype.type(x1) + half_width, dtype.type(y1) + half_height
    if square:
        half_width = half_height = max(half_width, half_height)
    return (
        _round(center_x - half_width * scale),
        _round(center_x + half_width * scale),
        _round(center_y - half_height * scale),
        _round(center_y + half_height * scale),
    )


def _round(value: np.floating) -> int:
    """To the nearest integer, halves away from zero, as C does."""
    return int(copysign(floor(abs(float(value)) + 0.5), value))
