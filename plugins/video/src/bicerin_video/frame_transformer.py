"""What SSD's `transform_param` does to frames, which hold no boxes: resize, distort, expand, crop, and so on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin_ssd.annotated_image import AnnotatedImage
from bicerin_ssd.annotated_transformer import AnnotatedTransformer


class FrameTransformer(AnnotatedTransformer):
    """The transformation of one layer."""

    def __call__(self, images: Sequence[np.ndarray], random: np.random.Generator, out: np.ndarray) -> None:
        resizes = self.resize_for_batch(random)
        for image, place in zip(images, out, strict=True):
            pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
            frame = AnnotatedImage(pixels, np.empty((0, 3), np.int64), np.empty((0, 4), np.float32), 0)
            place[...], _ = self.transform(frame, resizes, random)
