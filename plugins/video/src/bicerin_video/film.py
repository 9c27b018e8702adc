"""Films, that is video files, and cameras, through OpenCV, which is imported when the first is opened."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError, MissingDataError
from bicerin_data.image import opencv, planes, resized
from bicerin_proto import printable


def open_film(path: Path) -> Any:
    """OpenCV's `VideoCapture` of a video file.

    Raises:
        MissingDataError: there is no such file.
        DataError: OpenCV cannot read it.
    """
    if not path.is_file():
        raise MissingDataError(f"Could not open or find file {printable(path)}: there is no such video file.")
    film = opencv().VideoCapture(str(path))
    if not film.isOpened():
        raise DataError(f"Could not load {printable(path)}: it is of no video format that OpenCV knows.")
    return film


def frame_count(film: Any) -> int | None:
    """How many frames a film says that it has; None where it does not say."""
    count = int(film.get(opencv().CAP_PROP_FRAME_COUNT))
    return count if count > 0 else None


def seek(film: Any, path: Path, frame: int) -> Any:
    """The film, or if it cannot be set there a new one of the same file, so that this frame, from 0, comes next."""
    position = opencv().CAP_PROP_POS_FRAMES
    if frame == 0 or (film.set(position, frame) and int(film.get(position)) == frame):
        return film
    film = open_film(path)
    for passed in range(frame):
        if not film.grab():
            raise DataError(f"Could not load {printable(path)}: it has no frame {frame}, but {passed} frames.")
    return film


def next_frame(film: Any, color: bool = True) -> np.ndarray | None:
    """The next frame, uint8 (C, H, W), blue first; None after the last."""
    read, image = film.read()
    if not read or image is None:
        return None
    cv2 = opencv()
    if not color and image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    elif color and (image.ndim == 2 or image.shape[2] == 1):
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return planes(image)


def read_film(film: Any, path: Path, numbers: Iterable[int], color: bool, height: int, width: int) -> list[np.ndarray]:
    """Frames of a film that was opened, from 0, in rising order: each uint8 (C, H, W), resized where height and width
    are given.

    Raises:
        DataError: it has no such frame.
    """
    frames: list[np.ndarray] = []
    following = 0
    for number in numbers:
        if not frames:
            film, following = seek(film, path, number), number
        while following < number:
            film.grab()
            following += 1
        frame = next_frame(film, color)
        following += 1
        if frame is None:
            raise DataError(f"Could not load {printable(path)}: it has no frame {number}.")
        frames.append(resized(frame, height, width) if height > 0 and width > 0 else frame)
    return frames
