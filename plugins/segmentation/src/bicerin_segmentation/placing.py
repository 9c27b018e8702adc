"""Where the pixels of an image and of its labels go: another size, a margin, a part, mirrored or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from bicerin.errors import DataError
from bicerin_data.image import pixels


@dataclass(frozen=True)
class Placing:
    """The same for an image and its labels.

    Attributes:
        size: height and width that the image is resized to.
        corner: where the part begins, down and across, in the resized image with its margin.
        part: height and width of the part.
        mirrored: whether it is mirrored, left to right.
    """

    size: tuple[int, int]
    corner: tuple[int, int]
    part: tuple[int, int]
    mirrored: bool = False

    def image(self, image: np.ndarray, margin: np.ndarray) -> np.ndarray:
        """Of an image (C, H, W), resized linearly: the part, uint8, or float32 with a margin of these values, (C,)."""
        return self._part(resized_pixels(image, *self.size, cv2.INTER_LINEAR), margin)

    def labels(self, labels: np.ndarray, margin: int) -> np.ndarray:
        """Of labels (1, H, W), of which the nearest is taken where the size changes: the part."""
        return self._part(resized_pixels(labels, *self.size, cv2.INTER_NEAREST), np.array([margin]))

    def _part(self, image: np.ndarray, margin: np.ndarray) -> np.ndarray:
        missing = [max(part - size, 0) for part, size in zip(self.part, self.size, strict=True)]
        if any(missing):
            around = np.empty((len(image), *(a + b for a, b in zip(self.size, missing, strict=True))), np.float32)
            around[...] = margin[:, None, None]
            down, across = (length // 2 for length in missing)
            around[:, down : down + self.size[0], across : across + self.size[1]] = image
            image = around
        (top, left), (height, width) = self.corner, self.part
        part = image[:, top : top + height, left : left + width]
        return part[:, :, ::-1] if self.mirrored else part


def resized_pixels(image: np.ndarray, height: int, width: int, interpolation: int) -> np.ndarray:
    """An image (C, H, W) of up to 4 channels in another size.

    Raises:
        DataError: OpenCV cannot make an image of that size.
    """
    if image.shape[1:] == (height, width):
        return image
    try:
        new = cv2.resize(np.ascontiguousarray(pixels(image)), (width, height), interpolation=interpolation)
    except (cv2.error, MemoryError):
        raise DataError(f"an image of {height} x {width} cannot be made of one of {image.shape[1:]}.") from None
    return new.reshape(height, width, -1).transpose(2, 0, 1)


def random_corner(size: Any, part: Any, random: np.random.Generator) -> tuple[int, int]:
    """Where a part of an image begins, any place as likely as any other; 0 where the image is smaller."""
    down, across = (int(random.integers(max(whole - some, 0) + 1)) for whole, some in zip(size, part, strict=True))
    return down, across


def middle_corner(size: Any, part: Any) -> tuple[int, int]:
    """Where the middle part begins."""
    down, across = (max(whole - some, 0) // 2 for whole, some in zip(size, part, strict=True))
    return down, across
