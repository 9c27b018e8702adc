"""How DetectNet's training changes an image and its boxes.

In this order: the hue is turned by up to `hue_rotation` degrees, the saturation multiplied by 1 to 1 less
`desaturation_max`, the mean subtracted, the image mirrored, resized by a factor from `scale_min` to `scale_max`, turned
by up to `max_rotate_degree` and cut out. Each is done with a probability of its own. What is cut out has the wanted
size and lies anywhere in the image, or up to half of `shift_x` and `shift_y` beyond its edges; without a crop it is the
middle. What lies beyond the image is 0, which is the mean.

Colours are those of the hexagonal cone (hue, saturation, value). Resizing is cubic convolution with a = -3/4, without
smoothing, as OpenCV's; a turned image is sampled linearly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bicerin.errors import LayerError
from bicerin_rcnn.taps import cubic_taps

_LEAST_TURN = float(np.finfo(np.float32).eps)
_LEAST_DESATURATION = 1 / 255

_PROBABILITIES = ("crop_prob", "scale_prob", "flip_prob", "rotation_prob", "hue_rotation_prob", "desaturation_prob")


class Choice(NamedTuple):
    """What is done to one image.

    Attributes:
        hue: degrees.
        saturation: what it is multiplied by.
        flip: whether the image is mirrored.
        size: rows and columns that it is resized to.
        degrees: how far it is turned, clockwise.
        offset: the row and column of the resized and turned image where what is cut out begins.
    """

    hue: float
    saturation: float
    flip: bool
    size: tuple[int, int]
    degrees: float
    offset: tuple[int, int]

    @property
    def turns(self) -> bool:
        return abs(self.degrees) > _LEAST_TURN


class Augmentation:
    """What may be done to the images of a layer.

    Args:
        param: a `DetectNetAugmentationParameter`.
        wanted: rows and columns of the result.

    Raises:
        LayerError: a probability is not from 0 to 1, or a range is none.
    """

    #: How many random numbers an image takes.
    draws = 12

    def __init__(self, param: Any, wanted: tuple[int, int]) -> None:
        for name in _PROBABILITIES:
            if not 0 <= getattr(param, name) <= 1:
                raise LayerError(f"{name} must be from 0 to 1, not {getattr(param, name):g}.")
        if not 0 < param.scale_min <= param.scale_max:
            raise LayerError(
                f"scale_min and scale_max must be greater than 0, and the first at most the second: "
                f"{param.scale_min:g}, {param.scale_max:g}."
            )
        if not 0 <= param.desaturation_max <= 1:
            raise LayerError(f"desaturation_max must be from 0 to 1, not {param.desaturation_max:g}.")
        self.param = param
        self.wanted = wanted

    def choose(self, drawn: Sequence[float], size: tuple[int, int]) -> Choice:
        """What is done to an image of so many rows and columns, from `draws` numbers in [0, 1)."""
        param = self.param
        recolours, hue, fades, fading, flips, scales, scaling, turns, turning, crops, across, down = drawn
        if scales < param.scale_prob:
            factor = param.scale_min + (param.scale_max - param.scale_min) * scaling
            size = max(1, rounded(size[0] * factor)), max(1, rounded(size[1] * factor))
        turn = (2 * hue - 1) * param.hue_rotation
        choice = Choice(
            max(-180.0, min(180.0, turn)) if recolours < param.hue_rotation_prob else 0.0,
            1 - fading * param.desaturation_max if fades < param.desaturation_prob else 1.0,
            flips < param.flip_prob,
            size,
            (2 * turning - 1) * param.max_rotate_degree if turns < param.rotation_prob else 0.0,
            (0, 0),
        )
        places, shifts = (down, across), (param.shift_y, param.shift_x)
        if not crops < param.crop_prob:
            places, shifts = (0.5, 0.5), (0, 0)
        room = zip(places, shifts, bounds(choice)[1] if choice.turns else size, self.wanted, strict=True)
        row, column = (rounded(place * (has - wants + shift) - shift // 2) for place, shift, has, wants in room)
        return choice._replace(offset=(row, column))


def plain(wanted: tuple[int, int]) -> Choice:
    """What is done to every image of a test: it is resized."""
    return Choice(0.0, 1.0, False, wanted, 0.0, (0, 0))


def changed_image(image: np.ndarray, mean: np.ndarray, choice: Choice, wanted: tuple[int, int]) -> np.ndarray:
    """An image as it was chosen.

    Args:
        image: blue, green and red from 0 to 255, `(3, H, W)`.
        mean: what is subtracted, broadcast to that.
        wanted: rows and columns of the result, which has the image's dtype.
    """
    if abs(choice.hue) > _LEAST_TURN or choice.saturation < 1 - _LEAST_DESATURATION:
        image = recoloured(image, choice.hue, choice.saturation)
    image = image - mean
    if choice.flip:
        image = image[:, :, ::-1]
    image = resized(image, choice.size)
    if choice.turns:
        image = turned(image, choice)
    result = np.zeros((len(image), *wanted), image.dtype)
    theirs, ours = [], []
    for offset, wants, has in zip(choice.offset, wanted, image.shape[1:], strict=True):
        first, last = max(offset, 0), max(min(offset + wants, has), 0)
        theirs.append(slice(first, max(first, last)))
        ours.append(slice(first - offset, max(first, last) - offset))
    result[:, ours[0], ours[1]] = image[:, theirs[0], theirs[1]]
    return result


def changed_boxes(boxes: np.ndarray, choice: Choice, size: tuple[int, int]) -> np.ndarray:
    """Where the boxes of an image of so many rows and columns lie after the same changes.

    A mirrored box lies one pixel further to the left than its part of the image, as in the fork; a turned one keeps its
    width and height around its middle.

    Args:
        boxes: x1, y1, width, height, `(B, 4)`.
    """
    boxes = boxes.copy()
    if choice.flip:
        boxes[:, 0] = size[1] - boxes[:, 0] - boxes[:, 2] - 1
    boxes *= np.array([choice.size[1] / size[1], choice.size[0] / size[0]] * 2)
    if choice.turns:
        matrix, shift = motion(choice)
        middles = boxes[:, :2] + boxes[:, 2:] / 2
        boxes[:, :2] = middles @ matrix.T + shift - boxes[:, 2:] / 2
    boxes[:, :2] -= choice.offset[::-1]
    return boxes


def recoloured(image: np.ndarray, hue: float, saturation: float) -> np.ndarray:
    """Blue, green and red, `(3, H, W)`, of which the hue is turned by degrees and the saturation multiplied.

    With the value v, the greatest of the three, and the chroma c, that less the least one, the channel n steps of 60
    degrees around the cone is v - c max(0, min(k, 4 - k, 1)), k = n + hue / 60 modulo 6; n is 1 for blue, 3 for green
    and 5 for red.
    """
    value, least = image.max(axis=0), image.min(axis=0)
    chroma = value - least
    blue, green, red = image
    # Where there is no chroma, no hue counts.
    parts = np.where(chroma > 0, chroma, 1)
    sixth = np.where(
        value == red,
        (green - blue) / parts,
        np.where(value == green, 2 + (blue - red) / parts, 4 + (red - green) / parts),
    )
    k = (np.array([1, 3, 5], image.dtype)[:, None, None] + sixth + image.dtype.type(hue / 60)) % 6
    weights = np.maximum(0, np.minimum(np.minimum(k, 4 - k), 1))
    return value - chroma * image.dtype.type(saturation) * weights


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image `(C, H, W)` resized to so many rows and columns by cubic convolution."""
    for axis, (has, wants) in enumerate(zip(image.shape[1:], size, strict=True), 1):
        if has == wants:
            continue
        taps = cubic_taps(np, ((np.arange(wants) + 0.5) * (has / wants) - 0.5)[None], has, a=-0.75)
        places, weights = taps.places[0].T, taps.weights[0].T.astype(image.dtype)
        along = (-1, 1) if axis == 1 else (-1,)
        image = sum(
            np.take(image, place, axis=axis) * weight.reshape(along)
            for place, weight in zip(places, weights, strict=True)
        )
    return image


def turned(image: np.ndarray, choice: Choice) -> np.ndarray:
    """An image `(C, H, W)` turned, as large as it then is; 0 where there is nothing of it."""
    matrix, shift = motion(choice)
    _, (height, width) = bounds(choice)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    places = (grid - shift) @ matrix  # the inverse of a rotation is its transpose
    rows, columns = image.shape[1:]
    last = np.array([columns - 1, rows - 1])
    inside = ((places >= 0) & (places <= last)).all(axis=-1)
    before = np.clip(np.floor(places).astype(np.int64), 0, np.maximum(last - 1, 0))
    after = np.minimum(before + 1, last)
    right, down = np.moveaxis((places - before).astype(image.dtype), -1, 0)
    (x0, y0), (x1, y1) = np.moveaxis(before, -1, 0), np.moveaxis(after, -1, 0)
    upper = image[:, y0, x0] * (1 - right) + image[:, y0, x1] * right
    lower = image[:, y1, x0] * (1 - right) + image[:, y1, x1] * right
    return np.where(inside, upper * (1 - down) + lower * down, 0)


def bounds(choice: Choice) -> tuple[tuple[int, int], tuple[int, int]]:
    """The upper left corner x, y of what a turned image reaches, in whole pixels, and how many rows and columns it has.

    The first is reckoned from the image's exact middle, the second from the whole pixel of it, as in the fork.
    """
    height, width = choice.size
    angle = math.radians(choice.degrees)
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    reach = (width * cosine + height * sine) / 2, (width * sine + height * cosine) / 2
    corner = math.floor(width / 2 - reach[0]), math.floor(height / 2 - reach[1])
    columns, rows = (
        math.ceil(middle + far) - math.floor(middle - far) + 1
        for middle, far in zip((width // 2, height // 2), reach, strict=True)
    )
    return corner, (rows, columns)


def motion(choice: Choice) -> tuple[np.ndarray, np.ndarray]:
    """A matrix and a shift: where (x, y) of an image comes to lie as it is turned about its middle."""
    height, width = choice.size
    angle = math.radians(choice.degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([width / 2, height / 2])
    return matrix, middle - np.array(bounds(choice)[0]) - matrix @ middle


def rounded(number: float) -> int:
    """The nearest whole number; a half is rounded away from 0, as C does."""
    return int(math.copysign(math.floor(abs(number) + 0.5), number))
