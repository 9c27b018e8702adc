"""Images through OpenCV, the library that Caffe used, so that decoding and resizing agree with it to the pixel.

OpenCV is imported when the first image is read: a store of raw records needs none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer.data_file import read_data
from bicerin_data.jpeg import decode_jpeg
from bicerin_proto import printable


@lru_cache(maxsize=1)
def opencv() -> Any:
    """The module `cv2`.

    Raises:
        DataError: it is not installed; says how to get it.
    """
    try:
        import cv2
    except ImportError as error:
        raise DataError(
            f"images are read with OpenCV, which cannot be imported: {error}.",
            "pip install opencv-python-headless",
        ) from error
    return cv2


def decode_image(data: bytes | memoryview, color: bool | None = None) -> np.ndarray:
    """Decode the bytes of an image file to uint8 (C, H, W), the channels in OpenCV's order: blue, green, red.

    Args:
        color: True converts to 3 channels, False to 1; None keeps what the file has.

    Raises:
        DataError: the bytes are not an image, or its samples are wider than 8 bits.
    """
    if color is not False and (image := decode_jpeg(data, turn=color is not None)) is not None:
        return planes(image)
    cv2 = opencv()
    flag = cv2.IMREAD_UNCHANGED if color is None else cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE
    image = None
    if len(data):
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        except cv2.error as error:
            raise DataError(f"Could not decode the image ({len(data)} bytes): {error}") from None
    if image is None:
        raise DataError(f"Could not decode the image: its {len(data)} bytes are of no format that OpenCV knows.")
    return planes(image)


def read_image(path: str, color: bool | None = True, height: int = 0, width: int = 0) -> np.ndarray:
    """Read an image file to uint8 (C, H, W), and resize it (bilinear) where `height` and `width` are given.

    Args:
        color: as for `decode_image`.

    Raises:
        DataError: the file is missing or no image.
    """
    data = read_data(path, "Could not open or find file")
    try:
        image = decode_image(data, color)
        return resized(image, height, width) if height > 0 and width > 0 else image
    except DataError as error:
        raise DataError(f"Could not load {printable(path)}: {error.reason}", error.hint) from None


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image (C, H, W), resized bilinearly.

    Raises:
        DataError: OpenCV cannot make an image of that size.
    """
    cv2 = opencv()
    try:
        return planes(cv2.resize(pixels(image), (width, height), interpolation=cv2.INTER_LINEAR))
    except (cv2.error, MemoryError):
        size = f"{height} x {width} with {image.shape[0]} channel(s), {height * width * image.shape[0]} bytes"
        raise DataError(f"an image of {size}, cannot be made.") from None


def channels_converted(image: np.ndarray, color: bool, blue_first: bool) -> np.ndarray:
    """An image (H, W), (H, W, 1) or (H, W, 3) as (C, H, W) of 3 channels, blue first, or of 1 channel.

    Args:
        color: whether 3 channels are wanted.
        blue_first: whether the image's own channels are blue, green, red, and not red, green, blue.
    """
    cv2 = opencv()
    if image.ndim == 2 or image.shape[2] == 1:
        flat = image.reshape(image.shape[:2])
        return planes(cv2.cvtColor(flat, cv2.COLOR_GRAY2BGR) if color else flat)
    if color:
        return planes(image if blue_first else image[:, :, ::-1])
    return planes(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if blue_first else cv2.COLOR_RGB2GRAY))


def encode_image(image: np.ndarray, encoding: str) -> bytes:
    """The bytes of an image file of (C, H, W).

    Args:
        encoding: the format, as the end of a file's name: png, jpg, ...

    Raises:
        DataError: OpenCV cannot write that format.
    """
    cv2 = opencv()
    try:
        written, data = cv2.imencode(f".{encoding}", pixels(image))
    except cv2.error:
        written = False
    if not written:
        raise DataError(f'an image cannot be encoded as "{encoding}".')
    encoded: bytes = data.tobytes()
    return encoded


def planes(image: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) as OpenCV has it -> (C, H, W), a view.

    Raises:
        DataError: the samples are not 8 bits wide.
    """
    if image.dtype != np.uint8:
        raise DataError(f"Image data type must be unsigned byte, not {image.dtype}.")
    return image[None] if image.ndim == 2 else image.transpose(2, 0, 1)


def pixels(image: np.ndarray) -> np.ndarray:
    """(C, H, W) -> (H, W) for one channel, else (H, W, C), as OpenCV wants it; a view."""
    return image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
