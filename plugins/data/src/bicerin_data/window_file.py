"""The window file of R-CNN (Girshick et al., 2014): images, and rectangles in them with class and overlap.

For each image, with one window a line:

    # image_index
    path
    channels
    height
    width
    number of windows
    class overlap x1 y1 x2 y2
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from bicerin.errors import DataError
from bicerin.layer.data_file import read_data_text

#: The columns of a window.
IMAGE, LABEL, X1, Y1, X2, Y2 = range(6)


@dataclass
class WindowFile:
    """The images and their windows, in two kinds.

    Attributes:
        images: the paths.
        channels: as the last image states it.
        foreground: int64 (n, 6), the columns as named above.
        background: the same; their label is 0.
    """

    images: list[str]
    channels: int
    foreground: np.ndarray
    background: np.ndarray


def read_window_file(path: Path, fg_threshold: float, bg_threshold: float) -> WindowFile:
    """Read a window file; windows that overlap less than the one and not less than the other threshold are left out.

    Raises:
        MissingDataError: the file cannot be opened.
        DataError: it is empty, or a line is not what it should be.
    """
    images: list[str] = []
    windows: list[np.ndarray] = []
    channels = 0
    lines = read_data_text(path, "Failed to open window file").splitlines()
    for index, name, channels, rows in _blocks(path, lines):  # noqa: B007
        images.append(name)
        windows.append(np.insert(rows, 0, index, axis=1))
    if not images:
        raise DataError(f"Window file {path} is empty.")
    table = np.concatenate(windows)
    wrong = (table[:, 0] < 0) | (table[:, 0] >= len(images))
    if wrong.any():
        raise DataError(
            f"window file {path}: image_index {int(table[wrong][0, 0])}, but there are {len(images)} images.",
            "The images are numbered from 0, in their order.",
        )
    overlap = table[:, 2].astype(np.float32)
    table = np.delete(table, 2, axis=1).astype(np.int64)
    foreground = table[overlap >= np.float32(fg_threshold)]
    background = table[(overlap < np.float32(fg_threshold)) & (overlap < np.float32(bg_threshold))]
    if (foreground[:, LABEL] <= 0).any():
        raise DataError(f"window file {path}: a window above fg_threshold has a class of 0 or less.")
    background[:, LABEL] = 0
    return WindowFile(images, channels, foreground, background)


def _blocks(path: Path, text: Iterable[str]) -> Iterator[tuple[int, str, int, np.ndarray]]:
    """Index, path, channels and windows (label, overlap, x1, y1, x2, y2) of each image."""
    lines = (line.strip() for line in text if line and not line.isspace())
    for line in lines:
        try:
            mark, index = line.split()
            if mark != "#":
                raise ValueError(f'"# image_index" is expected, not "{line}"')
            name, channels, _, _, count = (next(lines, "") for _ in range(5))
            number = int(count)
            chosen = list(islice(lines, number))
            rows = np.loadtxt(chosen, ndmin=2) if chosen else np.empty((0, 6))
            if rows.shape != (number, 6):
                raise ValueError(f"{number} windows of 6 numbers are expected, not {rows.shape[0]} of {rows.shape[1]}")
            yield int(index), name, int(channels), rows
        except ValueError as error:
            raise DataError(f'window file {path}: the image at "{line}": {error}') from None
