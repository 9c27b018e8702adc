"""Pictures within the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from bicerin.net.picture import grid


def png(picture: np.ndarray) -> str:
    """A picture, uint8 (height, width, channels), as the address of an image that is in the page itself.

    Of two or four channels the last says how opaque it is.
    """
    file = io.BytesIO()
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def spaced(pictures: np.ndarray, columns: int | None = None, least: int = 12) -> np.ndarray:
    """Pictures in a grid, small ones enlarged to about `least` pixels, with nothing between them: see-through.

    Args:
        pictures: uint8 (N, height, width, 1 or 3).

    Returns:
        uint8 (height, width, 2 or 4).
    """
    factor = max(1, -(-least // max(pictures.shape[1:3])))
    large = pictures.repeat(factor, 1).repeat(factor, 2)
    opaque = np.full((*large.shape[:3], 1), 255, np.uint8)
    return grid(np.concatenate([large, opaque], -1), columns)


def shrunk(images: np.ndarray, largest: int) -> np.ndarray:
    """Images of the shape (N, C, height, width), each side at most `largest`: means of windows, as far as they fit."""
    factor = -(-max(images.shape[2:]) // largest)
    if factor <= 1:
        return images
    count, channels, height, width = images.shape
    rows, columns = max(1, height // factor), max(1, width // factor)
    windows = (min(height, factor), min(width, factor))
    cut = images[:, :, : rows * windows[0], : columns * windows[1]]
    parted = cut.reshape(count, channels, rows, windows[0], columns, windows[1])
    return np.asarray(parted.mean((3, 5), dtype=np.float32))
