"""What forks do to an image before it is cropped: parts and sizes of its own.

    IntelResize         random_resize_param: the shorter side gets a size at random
    IntelPart           random_aspect_ratio_param: a part of random area and proportions, made a square of crop_size
    NvidiaResize        img_rand_resize_*: the shorter side gets a size at random, then the sides are stretched
    MultiScale          fix_crop, multi_scale (yjxiong), at TRAIN: a part at a place of a grid, made a square, too

Sources: the `DataTransformer`s of Intel's, NVIDIA's and Y. Xiong's Caffe. The sizes are theirs; what is drawn is not,
since they have other generators.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import enum_name
from bicerin_data.image import opencv

#: What multi_scale takes of the shorter side where scale_ratios says nothing.
_SCALE_RATIOS = (1, 0.875, 0.75, 0.66)

#: A side that differs from crop_size by less is crop_size.
_NEAR = 3

#: How many channels OpenCV resizes at once with any interpolation.
_MOST_CHANNELS = 4

#: Places of a part, in quarters of what is left of height and width: the corners and the middle, and 8 more.
_PLACES = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
_MORE_PLACES = [(0, 2), (4, 2), (2, 0), (2, 4), (1, 1), (1, 3), (3, 1), (3, 3)]

_NVIDIA = (
    "img_rand_resize_lower", "img_rand_resize_upper", "rand_resize_ratio_lower", "rand_resize_ratio_upper",
    "vertical_stretch_lower", "vertical_stretch_upper", "horizontal_stretch_lower", "horizontal_stretch_upper",
)  # fmt: skip
#: Options -> those of which one must be given, for them to have an effect.
_NEED = {
    ("multi_scale",): ("scale_ratios", "max_distort"),
    _NVIDIA: ("allow_upscale", "interpolation_algo_up", "interpolation_algo_down"),
}


class Augmentation(ABC):
    """What is done to each image, with `draws` numbers from 0 to 1 for each, as many whatever it is."""

    draws: int

    @abstractmethod
    def __call__(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        """A part of an image (C, H, W), or another size of it, neither side shorter than crop_size."""


def augmentation(param: Any, train: bool) -> Augmentation | None:
    """What a `TransformationParameter` asks for; None for nothing.

    Raises:
        DataError: it asks for several, or for what cannot be.
    """
    _check_needs(param)
    said: list[type[_OfParam]] = []
    if param.HasField("random_resize_param"):
        said.append(IntelResize)
    if param.HasField("random_aspect_ratio_param"):
        said.append(IntelPart)
    if any(param.HasField(name) for name in _NVIDIA):
        said.append(NvidiaResize)
    if param.multi_scale or param.fix_crop or param.more_fix_crop:
        said.append(MultiScale)
    if len(said) > 1:
        raise DataError("transform_param asks for resizing in the ways of several forks; give one of them.")
    if not said:
        return None
    if not param.crop_size:
        raise DataError("transform_param: images are resized at random, and need a crop_size to have one size.")
    if param.HasField("mean_file") and said[0] is not NvidiaResize:
        raise DataError("transform_param: a mean_file does not fit images of random sizes; give mean_value.")
    made = said[0](param)
    return made if train or not isinstance(made, MultiScale) else None


def _check_needs(param: Any) -> None:
    """Raise a `DataError` for an option that says how something is done which is not asked for."""
    given = {field.name for field, value in param.ListFields() if value != field.default_value}
    for needed, names in _NEED.items():
        for name in names:
            if name in given and given.isdisjoint(needed):
                raise DataError(
                    f"transform_param: {name} has no effect without {' or '.join(needed)}: give that, or leave it out."
                )


class _OfParam(Augmentation):
    def __init__(self, param: Any) -> None:
        self.param = param
        self.crop: int = param.crop_size

    def _check_covers(self, height: int, width: int) -> None:
        if min(height, width) < self.crop:
            raise DataError(f"an image of {height} x {width}, as it is resized, is smaller than crop_size {self.crop}.")


class IntelResize(_OfParam):
    """The shorter side becomes min_size to max_size, the longer keeps the proportion."""

    draws = 2

    def __init__(self, param: Any) -> None:
        super().__init__(param)
        self.least: int = param.random_resize_param.min_size
        self.most: int = param.random_resize_param.max_size
        if self.least and self.most and self.least > self.most:
            raise DataError(f"random_resize_param: min_size {self.least} is above max_size {self.most}.")
        self.modes = _modes(param.random_resize_param.resize_param)

    def __call__(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        height, width = image.shape[1:]
        least, most = self.least or min(height, width), self.most or max(height, width)
        shorter = least + _below(draws[0], most - least + 1)
        size = _with_shorter(height, width, shorter)
        self._check_covers(*size)
        return resized(image, *size, _one_of(self.modes, draws[1]))


class IntelPart(_OfParam):
    """A part whose area and proportions are drawn until it fits; else all of the image, the shorter side crop_size."""

    def __init__(self, param: Any) -> None:
        super().__init__(param)
        part = param.random_aspect_ratio_param
        self.areas = (part.min_area_ratio, part.max_area_ratio)
        self.change: float = part.aspect_ratio_change
        if not 0 < self.areas[0] <= self.areas[1] or not 0 < self.change <= 1:
            raise DataError(
                "random_aspect_ratio_param: 0 < min_area_ratio <= max_area_ratio and 0 < aspect_ratio_change <= 1, not "
                f"{self.areas[0]:g}, {self.areas[1]:g} and {self.change:g}."
            )
        self.attempts: int = part.max_attempt
        self.modes = _modes(part.resize_param)
        self.draws = 1 + 5 * self.attempts

    def __call__(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        height, width = image.shape[1:]
        mode = _one_of(self.modes, draws[0])
        for attempt in range(self.attempts):
            area, change, turned, down, across = draws[1 + 5 * attempt : 6 + 5 * attempt]
            side = np.sqrt(_between(*self.areas, area) * height * width)
            factor = _between(self.change, 1 / self.change, change)
            sides = int(side * factor), int(side / factor)
            part_height, part_width = sides[::-1] if turned < 0.5 else sides
            if 0 < part_height <= height and 0 < part_width <= width:
                top, left = _below(down, height - part_height + 1), _below(across, width - part_width + 1)
                part = image[:, top : top + part_height, left : left + part_width]
                return resized(part, self.crop, self.crop, mode)
        return resized(image, *_with_shorter(height, width, self.crop), mode)


class NvidiaResize(_OfParam):
    """The shorter side becomes lower to upper, the longer in proportion or as a ratio of it; both are stretched."""

    draws = 5

    def __init__(self, param: Any) -> None:
        super().__init__(param)
        self.sizes = (param.img_rand_resize_lower, param.img_rand_resize_upper)
        lower, upper = self.sizes
        if lower > upper or bool(lower) != bool(upper):
            raise DataError(f"img_rand_resize_lower and _upper: both, the lower not above the upper: {lower}, {upper}.")
        self.ratios = (param.rand_resize_ratio_lower, param.rand_resize_ratio_upper)
        if any(self.ratios) and not 1 <= self.ratios[0] <= self.ratios[1]:
            raise DataError(
                "rand_resize_ratio_lower and _upper, of the longer side over the shorter: 1 or more, the lower not "
                f"above the upper: {self.ratios[0]:g}, {self.ratios[1]:g}."
            )
        #: How much height and width are stretched, at least and at most.
        self.stretches = [
            (getattr(param, f"{name}_stretch_lower"), getattr(param, f"{name}_stretch_upper"))
            for name in ("vertical", "horizontal")
        ]
        if not all(0 < least <= most for least, most in self.stretches):
            raise DataError("vertical_stretch and horizontal_stretch: above 0, the lower not above the upper.")
        self.down = getattr(opencv(), enum_name(param, "interpolation_algo_down", _ALGORITHMS))
        self.up = getattr(opencv(), enum_name(param, "interpolation_algo_up", _ALGORITHMS))

    def __call__(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        height, width = image.shape[1:]
        lower, upper = self.sizes
        shorter = lower + _below(draws[0], upper - lower + 1) if lower else min(height, width)
        scale = np.float32(shorter) / np.float32(min(height, width))
        sides = [float(scale * height), float(scale * width)]
        if self.ratios[1] > 1:
            ratio = _between(*self.ratios, draws[1])
            longer = sides.index(max(sides)) if sides[0] != sides[1] else int(draws[2] < 0.5)
            sides[longer] = sides[1 - longer] * ratio
        for axis, (least, most) in enumerate(self.stretches):
            sides[axis] *= _between(least, most, draws[3 + axis])
        new = [max(self.crop, int(side + 0.5)) for side in sides]
        if not self.param.allow_upscale:
            new = [min(size, own) for size, own in zip(new, (height, width), strict=True)]
        self._check_covers(*new)
        if tuple(new) == (height, width):
            return image
        shrinks = new[0] <= height and new[1] <= width
        return resized(image, new[0], new[1], self.down if shrinks else self.up)


_ALGORITHMS = ("INTER_NEAREST", "INTER_LINEAR", "INTER_CUBIC", "INTER_AREA")


class MultiScale(_OfParam):
    """Sides that are ratios of the shorter one, whose numbers differ by at most max_distort, or crop_size; resized
    linearly to crop_size. With fix_crop at one of 5 places, with more_fix_crop of 13, else anywhere.
    """

    draws = 3

    def __init__(self, param: Any) -> None:
        super().__init__(param)
        self.ratios = tuple(param.scale_ratios) or _SCALE_RATIOS
        if not all(0 < ratio <= 1 for ratio in self.ratios):
            raise DataError("scale_ratios must be above 0 and at most 1.")
        self.places = (_PLACES + _MORE_PLACES if param.more_fix_crop else _PLACES) if param.fix_crop else None
        if param.more_fix_crop and not param.fix_crop:
            raise DataError("more_fix_crop says where fix_crop crops; give fix_crop: true.")

    def __call__(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        height, width = image.shape[1:]
        if not self.param.multi_scale:
            self._check_covers(height, width)
        sizes = self._sizes(min(height, width))
        part_height, part_width = sizes[_below(draws[0], len(sizes))]
        spare = height - part_height, width - part_width
        if self.places is not None:
            down, across = self.places[_below(draws[1], len(self.places))]
            top, left = spare[0] // 4 * down, spare[1] // 4 * across
        else:
            top, left = _below(draws[1], spare[0] + 1), _below(draws[2], spare[1] + 1)
        part = image[:, top : top + part_height, left : left + part_width]
        if part.shape[1:] == (self.crop, self.crop):
            return part
        return resized(part, self.crop, self.crop, opencv().INTER_LINEAR)

    def _sizes(self, shorter: int) -> list[tuple[int, int]]:
        """Heights and widths that a part may have."""
        if not self.param.multi_scale:
            return [(self.crop, self.crop)]
        sides = [int(shorter * np.float32(ratio)) for ratio in self.ratios]
        if self.crop <= shorter:
            sides = [self.crop if abs(side - self.crop) < _NEAR else side for side in sides]
        return [
            (height, width)
            for i, height in enumerate(sides)
            for j, width in enumerate(sides)
            if abs(i - j) <= self.param.max_distort
        ]


def resized(image: np.ndarray, height: int, width: int, interpolation: int) -> np.ndarray:
    """An image (C, H, W) of any number of channels, uint8 or float32, in another size.

    Raises:
        DataError: OpenCV cannot make an image of that size.
    """
    cv2 = opencv()
    parts = []
    try:
        for start in range(0, len(image), _MOST_CHANNELS):
            part = np.ascontiguousarray(image[start : start + _MOST_CHANNELS].transpose(1, 2, 0))
            new = cv2.resize(part, (width, height), interpolation=interpolation)
            parts.append(new.reshape(height, width, -1).transpose(2, 0, 1))
    except (cv2.error, MemoryError):
        raise DataError(f"an image of {height} x {width} cannot be made of one of {image.shape[1:]}.") from None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _modes(param: Any) -> list[int]:
    """OpenCV's interpolations that a `resize_param` names.

    Raises:
        DataError: it asks for more than an interpolation.
    """
    for name in ("prob", "height", "width"):
        if getattr(param, name) != param.DESCRIPTOR.fields_by_name[name].default_value:
            raise DataError(
                f"transform_param: resize_param names an interpolation for random resizing; its {name} would have no "
                "effect: leave it out."
            )
    if param.resize_mode != param.WARP:
        raise DataError("transform_param: random resizing knows resize_mode WARP alone.")
    names = [type(param).Interp_mode.Name(mode) for mode in param.interp_mode] or ["LINEAR"]
    return [getattr(opencv(), f"INTER_{name}") for name in names]


def _one_of(modes: Sequence[int], draw: float) -> int:
    return modes[_below(draw, len(modes))]


def _below(draw: float, number: int) -> int:
    """A whole number from 0 to `number` - 1."""
    return min(int(draw * number), number - 1)


def _between(least: float, most: float, draw: float) -> float:
    return least + (most - least) * draw


def _with_shorter(height: int, width: int, shorter: int) -> tuple[int, int]:
    if height < width:
        return shorter, int(np.float32(width) / np.float32(height) * shorter)
    return int(np.float32(height) / np.float32(width) * shorter), shorter
