"""What `transform_param` does to the images of a batch: crop, mirror, subtract a mean, scale.

    y = (x - mean) * scale

What forks do before they crop is in `augmentation`. With `is_flow`, of Y. Xiong's fork, the channels are optical flow,
x and y by turns, and where an image is mirrored x becomes 255 - x.

Source: Caffe's `DataTransformer`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Phase
from bicerin.layer.data_file import read_blob
from bicerin.schema import schema
from bicerin_data.augmentation import augmentation

_log = logging.getLogger("bicerin.data")


class Draws(NamedTuple):
    """What is random in the transformation of a batch, for each of its images.

    Attributes:
        augmentations: what the augmentation uses, numbers in [0, 1); None where there is no augmentation.
        mirrored: 1 or 0; None mirrors none.
        places: two numbers in [0, 1), how far down and across the crop is; None takes the centre.
    """

    augmentations: list[list[float]] | None
    mirrored: list[int] | None
    places: list[list[float]] | None


class Transformer:
    """The transformation of one layer.

    In TRAIN each image is cropped at a place of its own, and mirrored with probability 1/2 if `mirror` is set. In TEST
    the crop is the centre (mirroring is drawn there too, as in Caffe).

    Args:
        param: a `TransformationParameter`.
        resolve: finds the file that `mean_file` names.

    Raises:
        DataError: the parameters contradict each other, or the mean file cannot be read.
    """

    def __init__(self, param: Any, phase: Phase, dtype: np.dtype, resolve: Callable[[str], Path]) -> None:
        param = schema().own(param)  # it may be of Caffe's own schema
        if param.HasField("mean_file") and param.mean_value:
            raise DataError("Cannot specify mean_file and mean_value at the same time.")
        if param.force_color and param.force_gray:
            raise DataError("cannot set both force_color and force_gray.")
        self.crop_size: int = param.crop_size
        self.mirror: bool = param.mirror
        self.train = phase is Phase.TRAIN
        self.is_flow: bool = param.is_flow
        #: What is done before the crop, or None.
        self.augmentation = augmentation(param, self.train)
        self.dtype = dtype
        self.scale = dtype.type(param.scale)
        self.mean_values = np.array(param.mean_value, dtype)
        self.mean: np.ndarray | None = None
        if param.HasField("mean_file"):
            self.mean = read_mean(resolve(param.mean_file)).astype(dtype)
        self.color: bool | None = True if param.force_color else False if param.force_gray else None

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (C, h, w) that an image of shape (C, H, W) gets.

        Raises:
            DataError: the image is smaller than the crop, or the mean does not fit it.
        """
        channels, height, width = shape
        crop = self.crop_size
        resized = self.augmentation is not None
        if (height < crop or width < crop) and not resized:
            raise DataError(f"an image of {height} x {width} is smaller than crop_size {crop}.")
        if resized and self.mean is not None and (self.mean.shape[0] != channels or min(self.mean.shape[1:]) < crop):
            raise DataError(f"the mean of mean_file has the shape {self.mean.shape}: too small for crop_size {crop}.")
        if not resized and self.mean is not None and self.mean.shape != shape:
            raise DataError(f"the mean of mean_file has the shape {self.mean.shape}, the image {shape}.")
        if self.mean_values.size not in (0, 1, channels):
            raise DataError(
                f"Specify either 1 mean_value or as many as channels: {channels}; there are {self.mean_values.size}."
            )
        return (channels, crop, crop) if crop else shape

    def __call__(self, images: Sequence[np.ndarray], random: np.random.Generator, out: np.ndarray) -> None:
        """Write the transformed images to `out`.

        Args:
            images: uint8 or float32 arrays (C, H, W), all of which `output_shape` maps to the shape of `out[0]`.
            random: where the places and flips are drawn from: as much, whatever the images.
            out: shape (N, C, h, w) in the layer's dtype.
        """
        if not images:
            return
        draws = self.draw(random, len(images))
        for index, image in enumerate(images):
            self.place(image, draws, index, out[index])

    def draw(self, random: np.random.Generator, number: int) -> Draws:
        """What is random in a batch of so many images."""
        augmentation = self.augmentation
        augmentations = None if augmentation is None else random.random((number, augmentation.draws)).tolist()
        mirrored = random.integers(2, size=number).tolist() if self.mirror else None
        places = random.random((2, number)).tolist() if self.crop_size and self.train else None
        return Draws(augmentations, mirrored, places)

    def place(self, image: np.ndarray, draws: Draws, index: int, out: np.ndarray) -> None:
        """Transform the image with that index of a batch. May be called from several threads at once.

        Args:
            image: uint8 or float32, shape (C, H, W), which `output_shape` maps to that of `out`.
            out: shape (C, h, w) in the layer's dtype.
        """
        if self.augmentation is not None and draws.augmentations is not None:
            image = self.augmentation(image, draws.augmentations[index])
        crop = self.crop_size
        top = left = 0
        if crop:
            _, height, width = image.shape
            top, left = height - crop, width - crop
            if draws.places is None:
                top, left = top // 2, left // 2
            else:
                down, across = draws.places
                top, left = int(down[index] * (top + 1)), int(across[index] * (left + 1))
        mirrored = draws.mirrored is not None and draws.mirrored[index] == 1
        if mirrored and self.is_flow:
            image = image.copy()
            image[::2] = 255 - image[::2]
        flat, strides = _flat(image)
        mean = self._mean_for(out.shape[0], top, left, mirrored)
        _kernel()(flat, strides, top * strides[1] + left * strides[2], mirrored, *mean, self.scale, out)

    def _mean_for(
        self, channels: int, top: int, left: int, mirrored: bool
    ) -> tuple[np.ndarray, tuple[int, int, int], int, bool]:
        """What is subtracted of an image: the values, how far it is from one channel, row and column to the next, where
        they begin, and whether they are mirrored.
        """
        if self.mean is not None:
            _, height, width = self.mean.shape
            if self.augmentation is not None:
                # An image that was resized is no longer where the mean is: NVIDIA's Caffe subtracts the middle.
                top, left, mirrored = (height - self.crop_size) // 2, (width - self.crop_size) // 2, False
            values = np.ascontiguousarray(self.mean, self.dtype).reshape(-1)
            return values, (height * width, width, 1), top * width + left, mirrored
        values = self.mean_values
        if values.size != channels:
            values = np.full(channels, values[0] if values.size else 0, self.dtype)
        return values, (1, 0, 0), 0, False


def _flat(image: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The values of (C, H, W) as they lie, and how far it is from one channel, row, column to the next."""
    channels, height, width = image.shape
    if image.flags.c_contiguous:
        flat, strides = image.reshape(-1), (height * width, width, 1)
    else:
        flat, strides = image.transpose(1, 2, 0).reshape(-1), (1, width * channels, channels)
    # A kernel is compiled for arrays that can be written and for others apart, and a Datum's cannot.
    flat.flags.writeable = False
    return flat, strides


@cache
def _kernel() -> Callable[..., None]:
    """The kernel, whose import brings Numba."""
    from bicerin_data.transformer_kernels import place_image

    return place_image


def read_mean(path: Path) -> np.ndarray:
    """The mean image of a `.binaryproto` file, shape (C, H, W).

    Raises:
        MissingDataError: the file cannot be opened.
        DataError: it is not one image.
    """
    mean = read_blob(path, "mean_file")
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3:
        raise DataError(f"mean_file {path}: one image (1, C, H, W) is expected, not the shape {mean.shape}.")
    return mean
