"""What `transform_param` does to images with boxes.

    distort, expand, sample a part, resize, noise, crop, mirror; then y = (x - mean) * scale

Source: the `DataTransformer` of SSD's Caffe, which compresses the image as JPEG in between, as this does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError, LayerError
from bicerin.layer import Phase
from bicerin_data.transformer import Transformer
from bicerin_ssd.annotated_image import AnnotatedImage
from bicerin_ssd.box_sampler import check_sampler, jittered_box, sampled_boxes
from bicerin_ssd.distortion import check_distortion, distorted
from bicerin_ssd.noise import noised
from bicerin_ssd.resize import extrapolated, resized, resized_boxes, resized_shape


class AnnotatedTransformer(Transformer):
    """The transformation of one layer.

    Args:
        param: a `TransformationParameter`.
        batch_samplers: `BatchSampler`s: of the parts that they find, each image takes one at random.
        jitter: in place of them, how much of each side of an image may be cut off, 0 to 1; None for as they say.
        resolve: finds the file that `mean_file` names.

    Raises:
        DataError, LayerError: the parameters contradict each other, or the mean file cannot be read.
    """

    def __init__(
        self,
        param: Any,
        batch_samplers: Sequence[Any],
        phase: Phase,
        dtype: np.dtype,
        resolve: Callable[[str], Path],
        jitter: float | None = None,
    ) -> None:
        super().__init__(param, phase, dtype, resolve)
        if self.augmentation is not None or self.is_flow:
            raise DataError("transform_param: AnnotatedData resizes with resize_param, and knows no other fork's ways.")
        if jitter is not None and not 0 <= jitter < 1:
            raise LayerError(f"yolo_data_jitter must be from 0 to less than 1, not {jitter:g}.")
        self.batch_samplers = batch_samplers
        self.jitter = jitter
        for batch_sampler in batch_samplers:
            check_sampler(batch_sampler.sampler)
        self.distort = param.distort_param if param.HasField("distort_param") else None
        if self.distort is not None:
            check_distortion(self.distort)
        self.expand = param.expand_param if param.HasField("expand_param") else None
        if self.expand is not None and self.expand.max_expand_ratio <= 1:
            raise LayerError(f"max_expand_ratio must be greater than 1, not {self.expand.max_expand_ratio:g}.")
        self.resizes: list[Any] = list(param.resize_param)
        self.noise = param.noise_param if param.HasField("noise_param") else None
        self.emit = param.emit_constraint if param.HasField("emit_constraint") else None
        crop = (self.crop_size, self.crop_size) if self.crop_size else (param.crop_h, param.crop_w)
        self.crop: tuple[int, int] | None = crop if all(crop) else None

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (C, h, w) that an image of shape (C, H, W) gets, if no part of it is sampled.

        Raises:
            DataError: the image is smaller than the crop, or the mean does not fit it.
        """
        return self._cropped_shape(shape[0], *self._resized_shape(self.resizes[:1], *shape[1:]))

    @staticmethod
    def _resized_shape(resizes: Sequence[Any], height: int, width: int) -> tuple[int, int]:
        return resized_shape(resizes[0], height, width) if resizes else (height, width)

    def _cropped_shape(self, channels: int, height: int, width: int) -> tuple[int, ...]:
        down, across = self.crop or (height, width)
        if height < down or width < across:
            raise DataError(f"an image of {height} x {width} is smaller than the crop of {down} x {across}.")
        if self.mean is not None and self.mean.shape != (channels, height, width):
            raise DataError(
                f"the mean of mean_file has the shape {self.mean.shape}, the image {(channels, height, width)}."
            )
        if self.mean_values.size not in (0, 1, channels):
            raise DataError(
                f"Specify either 1 mean_value or as many as channels: {channels}; there are {self.mean_values.size}."
            )
        return channels, down, across

    def resize_for_batch(self, random: np.random.Generator) -> list[Any]:
        """The one `ResizeParameter`, of several, that a batch is resized with; none where there is none."""
        if len(self.resizes) < 2:
            return self.resizes
        return [self.resizes[int(random.integers(len(self.resizes)))]]

    def transform(
        self, image: AnnotatedImage, resizes: Sequence[Any], random: np.random.Generator
    ) -> tuple[np.ndarray, AnnotatedImage]:
        """The transformed values, shape (C, h, w) in the layer's dtype, and the image with the objects that are left.

        Raises:
            DataError: the image is smaller than the crop, or the mean does not fit it.
        """
        if self.distort is not None:
            image = image.with_pixels(distorted(self.distort, image.pixels, random))
        image = self._expanded(image, random)
        if self.jitter is not None:
            parts = jittered_box(self.jitter, random)
        else:
            parts = sampled_boxes(self.batch_samplers, image.boxes, random)
        if len(parts):
            image = image.cropped(parts[int(random.integers(len(parts)))], self.emit)
        original = image.size
        for resize in resizes:
            image = AnnotatedImage(
                resized(resize, np.ascontiguousarray(image.pixels), random),
                image.objects,
                resized_boxes(resize, image.boxes, original),
                image.label,
            )
        if self.noise is not None:
            image = image.with_pixels(noised(self.noise, np.ascontiguousarray(image.pixels), random))
        return self._values(image, resizes, original, random)

    def _expanded(self, image: AnnotatedImage, random: np.random.Generator) -> AnnotatedImage:
        """The image somewhere within a greater one, whose other pixels are the mean."""
        if self.expand is None or random.random() > self.expand.prob or abs(self.expand.max_expand_ratio - 1) < 1e-2:
            return image
        ratio = random.uniform(1, self.expand.max_expand_ratio)
        height, width, channels = image.pixels.shape
        down, across = int(height * ratio), int(width * ratio)
        top, left = int(random.uniform(0, down - height)), int(random.uniform(0, across - width))
        canvas = np.zeros((down, across, channels), np.uint8)
        if self.mean is not None and self.mean.shape == (channels, down, across):
            canvas[...] = self.mean.transpose(1, 2, 0)
        elif self.mean_values.size:
            canvas[...] = self.mean_values
        canvas[top : top + height, left : left + width] = image.pixels
        corner = np.array((-left, -top), np.float32)
        extent = np.array((across, down), np.float32)
        part = np.concatenate((corner, corner + extent)) / np.tile(np.array((width, height), np.float32), 2)
        return image.projected(part, self.emit).with_pixels(canvas)

    def _values(
        self, image: AnnotatedImage, resizes: Sequence[Any], original: tuple[int, int], random: np.random.Generator
    ) -> tuple[np.ndarray, AnnotatedImage]:
        """Crop, mirror, subtract the mean, scale."""
        height, width, channels = image.pixels.shape
        _, down, across = self._cropped_shape(channels, height, width)
        mirror = self.mirror and bool(random.integers(2))
        top, left = height - down, width - across
        if self.crop and self.train:
            top, left = int(random.integers(top + 1)), int(random.integers(left + 1))
        else:
            top, left = top // 2, left // 2
        part = np.array(
            (left / width, top / height, (left + across) / width, (top + down) / height), np.float32
        )  # fmt: skip
        image = image.projected(part, self.emit)
        boxes = image.boxes
        if mirror:
            boxes = np.stack((1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]), axis=1)
        for resize in resizes:
            boxes = extrapolated(resize, boxes, original, part)
        columns = slice(left, left + across)
        values = image.pixels[top : top + down, columns].transpose(2, 0, 1).astype(self.dtype)
        if self.mean is not None:
            values -= self.mean[:, top : top + down, columns]
        elif self.mean_values.size:
            values -= self.mean_values[:, None, None]
        values *= self.scale
        return values[..., ::-1] if mirror else values, AnnotatedImage(image.pixels, image.objects, boxes, image.label)
