"""What a `ResizeParameter` does to the shape of an image, and to boxes in it."""

from __future__ import annotations

from typing import Any

import numpy as np


def mode_name(param: Any) -> str:
    """The name of `resize_mode`: WARP, FIT_SMALL_SIZE or FIT_LARGE_SIZE_AND_PAD."""
    name: str = param.DESCRIPTOR.fields_by_name["resize_mode"].enum_type.values_by_number[param.resize_mode].name
    return name


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
