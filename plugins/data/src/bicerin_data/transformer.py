"""What `transform_param` does to the images of a batch: crop, mirror, subtract a mean, scale.

    y = (x - mean) * scale

What forks do before they crop is in `augmentation`. With `is_flow`, of Y. Xiong's fork, the channels are optical flow,
x and y by turns, and where an image is mirrored x becomes 255 - x.

Source: Caffe's `DataTransformer`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Phase
from bicerin.layer.data_file import read_blob
from bicerin.schema import schema
from bicerin_data.augmentation import augmentation

_log = logging.getLogger("bicerin.data")


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
        if self.augmentation is not None:
            draws = random.random((len(images), self.augmentation.draws)).tolist()
            images = [self.augmentation(image, own) for image, own in zip(images, draws, strict=True)]
        views = self._views(images, random)
        # Cropping and mirroring are views; one pass copies them all together.
        pixels = np.stack([image[view] for image, view in zip(images, views, strict=True)])
        if self.is_flow:
            for index, view in enumerate(views):
                if view[2].step == -1:
                    pixels[index, ::2] = 255 - pixels[index, ::2]
        if self.mean is not None and self.augmentation is not None:
            np.subtract(pixels, self._middle_of_mean(), out=out, dtype=self.dtype)
        elif self.mean is not None:
            varying = self.mirror or (self.crop_size and self.train)
            mean = np.stack([self.mean[view] for view in views]) if varying else self.mean[views[0]]
            np.subtract(pixels, mean, out=out, dtype=self.dtype)
        elif self.mean_values.size:
            np.subtract(pixels, self.mean_values[:, None, None], out=out, dtype=self.dtype)
        else:
            np.multiply(pixels, self.scale, out=out, dtype=self.dtype)
            return
        if self.scale != 1:
            np.multiply(out, self.scale, out=out)

    def _middle_of_mean(self) -> np.ndarray:
        """What is subtracted of images that were resized, as in NVIDIA's Caffe."""
        assert self.mean is not None
        top, left = ((side - self.crop_size) // 2 for side in self.mean.shape[1:])
        return self.mean[:, top : top + self.crop_size, left : left + self.crop_size]

    def _views(self, images: Sequence[np.ndarray], random: np.random.Generator) -> list[tuple[slice, slice, slice]]:
        """For each image, the slices that crop and mirror it."""
        number, crop = len(images), self.crop_size
        backwards = random.integers(2, size=number).tolist() if self.mirror else [0] * number
        places = random.random((2, number)).tolist() if crop and self.train else None
        views = []
        for index, image in enumerate(images):
            _, height, width = image.shape
            if not crop:
                top = left = 0
            else:
                top, left = height - crop, width - crop
                if places is None:
                    top, left = top // 2, left // 2
                else:
                    top, left = int(places[0][index] * (top + 1)), int(places[1][index] * (left + 1))
                height = width = crop
            columns = slice(left, left + width)
            if backwards[index]:
                columns = slice(left + width - 1, left - 1 if left else None, -1)
            views.append((slice(None), slice(top, top + height), columns))
        return views


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
