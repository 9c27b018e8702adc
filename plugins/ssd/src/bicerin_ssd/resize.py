"""What a `ResizeParameter` does to an image, and to boxes in it.

    WARP                    to width and height, whatever the image's own proportions
    FIT_SMALL_SIZE          so that it covers width and height
    FIT_LARGE_SIZE_AND_PAD  so that it fits into them, with what is left padded on both sides

Each image takes one of the `interp_mode`s at random. As in SSD's Caffe, `prob` has no effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import enum_name
from bicerin_data.image import opencv


def mode_name(param: Any) -> str:
    """The name of `resize_mode`: WARP, FIT_SMALL_SIZE or FIT_LARGE_SIZE_AND_PAD."""
    return enum_name(param, "resize_mode", ("WARP", "FIT_SMALL_SIZE", "FIT_LARGE_SIZE_AND_PAD"))


def resized_shape(param: Any, height: int, width: int) -> tuple[int, int]:
    """Height and width that an image of height and width gets.

    Raises:
        LayerError: the parameters give no height or no width.
    """
    if not (param.height and param.width):
        raise LayerError(f"resize_param: height {param.height} and width {param.width} must be greater than 0.")
    if mode_name(param) != "FIT_SMALL_SIZE":
        return param.height, param.width
    aspect = np.float32(width) / np.float32(height)
    if aspect < np.float32(param.width) / np.float32(param.height):
        return int(np.float32(param.width) / aspect), param.width
    return param.height, int(aspect * np.float32(param.height))


def resized(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A uint8 image (H, W, C), resized."""
    cv2 = opencv()
    height, width = resized_shape(param, *pixels.shape[:2])
    interpolation = cv2.INTER_LINEAR
    if param.interp_mode:
        chosen = param.interp_mode[int(random.integers(len(param.interp_mode)))]
        interpolation = getattr(cv2, f"INTER_{param.Interp_mode.Name(chosen)}")
    if mode_name(param) != "FIT_LARGE_SIZE_AND_PAD":
        return _with_channels(cv2.resize(pixels, (width, height), interpolation=interpolation))
    aspect = np.float32(pixels.shape[1]) / np.float32(pixels.shape[0])
    inner_height, inner_width = height, width
    if aspect > np.float32(width) / np.float32(height):
        inner_height = max(1, int(np.float32(width) / aspect))
    else:
        inner_width = max(1, int(aspect * np.float32(height)))
    inner = cv2.resize(pixels, (inner_width, inner_height), interpolation=interpolation)
    above, left = (height - inner_height) // 2, (width - inner_width) // 2
    borders = {"CONSTANT": "CONSTANT", "MIRRORED": "REFLECT_101", "REPEAT_NEAREST": "REPLICATE"}
    border = getattr(cv2, f"BORDER_{borders[enum_name(param, 'pad_mode', tuple(borders))]}")
    value = _pad_value(param, pixels.shape[2])
    below, right = height - inner_height - above, width - inner_width - left
    return _with_channels(cv2.copyMakeBorder(inner, above, below, left, right, border, value=value))


def resized_boxes(param: Any, boxes: np.ndarray, image: tuple[int, int]) -> np.ndarray:
    """Boxes `(N, 4)` of an image of height and width, as fractions of what it is resized to."""
    boxes = np.clip(boxes, 0, 1)
    if mode_name(param) != "FIT_LARGE_SIZE_AND_PAD":
        return boxes
    part = padded_part(param, image)
    return boxes * np.tile(part[2:] - part[:2], 2) + np.tile(part[:2], 2)


def extrapolated(param: Any, boxes: np.ndarray, image: tuple[int, int], crop: np.ndarray) -> np.ndarray:
    """Boxes `(N, 4)` in a crop of a resized image, as fractions of `width_scale` and `height_scale` where there are.

    Raises:
        LayerError: the crop is smaller than these.
    """
    if mode_name(param) != "FIT_SMALL_SIZE" or not (param.height_scale and param.width_scale):
        return boxes
    height, width = (np.float32(size) for size in (param.height, param.width))
    aspect = np.float32(image[1]) / np.float32(image[0])
    if aspect < width / height:
        height = width / aspect
    else:
        width = height * aspect
    extent = (crop[2:] - crop[:2]) * np.array((width, height), np.float32)
    scale = np.array((param.width_scale, param.height_scale), np.float32)
    if (extent < scale).any():
        raise LayerError(
            f"resize_param: width_scale {param.width_scale} and height_scale {param.height_scale} are greater than the "
            f"image, {extent[0]:g} x {extent[1]:g}."
        )
    return boxes * np.tile(extent / scale, 2)


def padded_part(param: Any, image: tuple[int, int]) -> np.ndarray:
    """Where in the padded result of FIT_LARGE_SIZE_AND_PAD an image of height and width lies: a box of float32."""
    height, width = np.float32(param.height), np.float32(param.width)
    aspect = np.float32(image[1]) / np.float32(image[0])
    part = np.array((0, 0, 1, 1), np.float32)
    if aspect > width / height:
        pad = (height - width / aspect) / 2 / height
        part[1], part[3] = pad, 1 - pad
    else:
        pad = (width - height * aspect) / 2 / width
        part[0], part[2] = pad, 1 - pad
    return part


def _pad_value(param: Any, channels: int) -> tuple[float, ...]:
    values = tuple(param.pad_value) or (0.0,)
    if len(values) not in (1, channels):
        raise LayerError(f"Specify either 1 pad_value or as many as channels: {channels}; there are {len(values)}.")
    return values if len(values) == channels else values * channels


def _with_channels(image: np.ndarray) -> np.ndarray:
    """OpenCV leaves away the channels of a gray image."""
    return image if image.ndim == 3 else image[..., None]
