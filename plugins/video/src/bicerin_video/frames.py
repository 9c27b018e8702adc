"""Frames of a video that are image files in a folder, and their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bicerin.errors import DataError
from bicerin_data.image import read_image

_PATTERN = re.compile(r"[^%]*(%c[^%]*)?%0?\d{0,2}d[^%]*")


def check_pattern(pattern: str, letter: bool) -> str:
    """A pattern of frames' names: the number as %d or %04d, and before it, if there is to be a letter, %c.

    Raises:
        DataError: it is another pattern.
    """
    found = _PATTERN.fullmatch(pattern)
    if found is None or (found[1] is not None) != letter:
        example = "flow_%c_%04d.jpg" if letter else "image_%04d.jpg"
        raise DataError(f"name_pattern {pattern!r} is not a pattern such as {example}.")
    return pattern


def read_frames(paths: Iterable[Path], color: bool, height: int, width: int) -> np.ndarray:
    """The frames of these files, uint8 (L, C, H, W), resized where height and width are given.

    Raises:
        DataError: one is missing or no image, or their sizes differ.
    """
    return stacked([read_image(str(path), color, height, width) for path in paths])


def stacked(frames: list[np.ndarray]) -> np.ndarray:
    """Frames (C, H, W) as one array (L, C, H, W).

    Raises:
        DataError: their sizes differ.
    """
    shapes = {frame.shape for frame in frames}
    if len(shapes) > 1:
        raise DataError(
            f"the frames of a video have several sizes: {sorted(shape[1:] for shape in shapes)}.",
            "Give new_height and new_width.",
        )
    return np.stack(frames)
