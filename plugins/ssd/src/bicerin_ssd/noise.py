"""Noise: what a `NoiseParameter` does to an image, one after the other what it names. Source: SSD's Caffe.

As there, it is done to every image, whatever `prob` is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin_data.image import opencv


def noised(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A uint8 image (H, W, C) with noise; what is about colors leaves gray images alone.

    Raises:
        LayerError: there are neither 1 nor C values of salt and pepper.
    """
    cv2 = opencv()
    color = pixels.shape[2] == 3
    if param.decolorize and color:
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if param.gauss_blur:
        pixels = cv2.GaussianBlur(pixels, (7, 7), 1.5)
    if param.hist_eq:
        pixels = _on_luma(pixels, cv2.equalizeHist)
    if param.clahe:
        pixels = _on_luma(pixels, cv2.createCLAHE(clipLimit=4).apply)
    if param.jpeg > 0:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(param.jpeg)])
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE)
    if param.erode:
        pixels = cv2.erode(pixels, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3), (1, 1)))
    if pixels.ndim == 2:
        pixels = pixels[..., None]  # OpenCV leaves away the channels of a gray image.
    if param.posterize:
        pixels = pixels // 64 * 64 + 32
    if param.inverse:
        pixels = 255 - pixels
    if param.saltpepper:
        pixels = _salted(param.saltpepper_param, pixels, random)
    if param.convert_to_hsv and color:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    if param.convert_to_lab and color:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2Lab)
    return pixels


def _on_luma(pixels: np.ndarray, function: Any) -> np.ndarray:
    """Apply a function of gray images to the brightness of an image."""
    cv2 = opencv()
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        gray: np.ndarray = function(pixels.reshape(pixels.shape[:2]))
        return gray
    converted = cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb)
    converted[..., 0] = function(np.ascontiguousarray(converted[..., 0]))
    back: np.ndarray = cv2.cvtColor(converted, cv2.COLOR_YCrCb2BGR)
    return back


def _salted(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    height, width, channels = pixels.shape
    if len(param.value) not in (1, channels):
        raise LayerError(
            f"saltpepper_param: specify either 1 value or as many as channels: {channels}; there are "
            f"{len(param.value)}."
        )
    number = int(param.fraction * height * width)
    salted = pixels.copy()
    salted[random.integers(height, size=number), random.integers(width, size=number)] = np.array(param.value, np.uint8)
    return salted
