"""JPEG files through libjpeg-turbo's own interface (simplejpeg), to the pixel as OpenCV decodes them, and sooner.

OpenCV decodes with the same library, but into new memory for each image, and row by row. What is not a plain colour
JPEG is left to it, what is damaged too: what it makes of those is what Caffe gets.
"""

from __future__ import annotations

import struct
import threading
from functools import cache
from typing import Any

import numpy as np

from bicerin_data.recycled_memory import RecycledMemory

#: Markers: where a file begins, and its pixels; what a camera says; what Adobe's programs say of colours; and frames
#: (baseline, extended, progressive), which say the size. Source: ITU-T T.81, annex B.
_START, _SCAN, _EXIF, _ADOBE, _FRAMES = b"\xff\xd8", 0xDA, 0xE1, 0xEE, (0xC0, 0xC1, 0xC2)
#: Of a frame, after its length: bits of a sample, height, width, and how many channels; of each of three channels its
#: number, and how many samples it has across and down, in half a byte each.
_FRAME = struct.Struct(">BHHB BBx BBx BBx")
#: The numbers of brightness and the two colours, and the samples of brightness for one of each colour: 4:4:4, 4:2:2,
#: 4:2:0.
_CHANNELS, _SAMPLES = (1, 2, 3), (0x11, 0x21, 0x22)

#: Images of a thread whose memory is kept that somebody may still look at; sizes are powers of two, so that images that
#: are nearly as large have it by turns.
_MOST_KEPT = 4
#: Of an image that is decoded here: memory of larger ones is better given back.
_MOST_PIXELS = 1 << 22
_BYTE = np.dtype(np.uint8)


class _Memory(threading.local):
    """Of the images that a thread decodes."""

    def __init__(self) -> None:
        self.of_images = RecycledMemory(_MOST_KEPT)


_memory = _Memory()


def decode_jpeg(data: bytes | memoryview, turn: bool) -> np.ndarray | None:
    """A plain colour JPEG's pixels, uint8 (H, W, 3), blue first; None if the bytes are not one.

    Args:
        data: the bytes of the file.
        turn: whether an image is turned as its camera says in the file, which is not done here.
    """
    library = simplejpeg()
    if library is None or (size := _size(data, turn)) is None:
        return None
    try:
        memory = _memory.of_images.take(1 << (size * 3 - 1).bit_length(), _BYTE)
        _memory.of_images.put(memory)
        image: np.ndarray = library.decode_jpeg(data, "BGR", buffer=memory)
    except (ValueError, RuntimeError, MemoryError):
        return None  # OpenCV says what is wrong, if it finds anything wrong
    return image


def _size(data: bytes | memoryview, turn: bool) -> int | None:
    """How many pixels a plain colour JPEG has, by what stands before them; None if it is none that is decoded here."""
    if data[:2] != _START:
        return None
    at, end, size = len(_START), len(data) - _FRAME.size - 4, None
    while at < end and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == _SCAN:
            return size
        if kind in _FRAMES:
            bits, height, width, channels, one, samples, two, second, three, third = _FRAME.unpack_from(data, at + 4)
            if (bits, channels) != (8, 3) or (one, two, three) != _CHANNELS:
                return None
            if samples not in _SAMPLES or not second == third == 0x11:
                return None
            size = height * width
            if not 0 < size <= _MOST_PIXELS:
                return None
        elif kind == _ADOBE or (kind == _EXIF and turn):
            return None
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return None


@cache
def simplejpeg() -> Any:
    """The module, or None where it is not installed."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
