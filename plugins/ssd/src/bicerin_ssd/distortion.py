"""Distortion of colors: brightness, contrast, saturation, hue and the order of channels, each with a probability.

Howard, Some Improvements on Deep Convolutional Neural Network Based Image Classification, 2013. Source: the
`DistortionParameter` of SSD's Caffe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin_data.image import opencv

_Step = Callable[[Any, np.ndarray, np.random.Generator], np.ndarray]


def check_distortion(param: Any) -> None:
    """Refuse ranges that are the wrong way round.

    Raises:
        LayerError: one is; says which.
    """
    for name in ("brightness", "hue"):
        delta = getattr(param, f"{name}_delta")
        if delta < 0:
            raise LayerError(f"distort_param: {name}_delta must be non-negative, not {delta:g}.")
    for name in ("contrast", "saturation"):
        lower, upper = getattr(param, f"{name}_lower"), getattr(param, f"{name}_upper")
        if not 0 <= lower <= upper:
            raise LayerError(f"distort_param: {name}_lower {lower:g} and {name}_upper {upper:g} are not a range.")


def distorted(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A uint8 image (H, W, C), distorted; what is about colors leaves gray images alone."""
    steps: list[_Step] = [_brightness, _saturation, _hue]
    # Contrast comes early or late, each in half of the cases.
    steps.insert(1 if random.random() > 0.5 else 3, _contrast)
    for step in (*steps, _channels):
        pixels = step(param, pixels, random)
    return pixels


def _brightness(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if random.random() >= param.brightness_prob:
        return pixels
    return _linear(pixels, 1, random.uniform(-param.brightness_delta, param.brightness_delta))


def _contrast(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if random.random() >= param.contrast_prob:
        return pixels
    return _linear(pixels, random.uniform(param.contrast_lower, param.contrast_upper), 0)


def _saturation(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if random.random() >= param.saturation_prob:
        return pixels
    return _in_hsv(pixels, 1, random.uniform(param.saturation_lower, param.saturation_upper), 0)


def _hue(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if random.random() >= param.hue_prob:
        return pixels
    return _in_hsv(pixels, 0, 1, random.uniform(-param.hue_delta, param.hue_delta))


def _channels(param: Any, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if random.random() >= param.random_order_prob:
        return pixels
    return np.ascontiguousarray(pixels[..., random.permutation(pixels.shape[2])])


def _linear(values: np.ndarray, factor: float, offset: float) -> np.ndarray:
    """values * factor + offset, rounded and kept within 0 to 255."""
    table = np.clip(np.rint(np.arange(256) * factor + offset), 0, 255).astype(np.uint8)
    return table[values]


def _in_hsv(pixels: np.ndarray, channel: int, factor: float, offset: float) -> np.ndarray:
    if pixels.shape[2] != 3:
        return pixels
    cv2 = opencv()
    converted = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    converted[..., channel] = _linear(converted[..., channel], factor, offset)
    back: np.ndarray = cv2.cvtColor(converted, cv2.COLOR_HSV2BGR)
    return back
