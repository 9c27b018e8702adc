"""ImageSegData: images, and images of their labels, for DeepLab and PSPNet.

A line of `image_data_param { source }` is "image label"; `root_folder` is put before both. `label_type` says what the
second is: with PIXEL an image of labels, with IMAGE, the default, one number for all pixels, with NONE there is none,
and all pixels are `ignore_label`, by default 255. Images are resized linearly to `new_height` x `new_width`, labels by
the nearest pixel, and with `scale_factors` once more, by one of these at random.

The part, `crop_size` large, or `crop_height` x `crop_width`, is at a random place in TRAIN, in
the middle in TEST. Where the image is smaller it gets a margin of the mean, and `ignore_label`. With `mirror` every
second pair is mirrored, in TEST too.

Images of different sizes need new sizes, a crop, or a batch_size of 1.

Source: the ImageSegDataLayer of hszhao/PSPNet, and of DeepLab before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Blob, BlobCounts, HasExample, Phase, between, enum_name
from bicerin_data.image import read_image
from bicerin_segmentation.pair_data import PairDataLayer, both_or_neither
from bicerin_segmentation.pair_list import Pair
from bicerin_segmentation.placing import Placing, middle_corner, random_corner


class ImageSegDataLayer(HasExample, PairDataLayer):
    """Tops: images `(N, C, h, w)`, labels `(N, 1, h, w)`, and the height and width of each image as it was before the
    part was taken, at most those of the top, `(N, 1, 1, 2)`.
    """

    type = "ImageSegData"
    example = """
        layer {
          name: "data" type: "ImageSegData" top: "data" top: "label"
          transform_param { mean_value: 104 mean_value: 117 mean_value: 123 mirror: true crop_size: 321 }
          image_data_param { source: "train.txt" root_folder: "photos/" label_type: PIXEL shuffle: true batch_size: 10 }
        }
        """
    counts = BlobCounts(bottom=0, top=between(1, 3))
    places = ("crop_size", "crop_height", "crop_width", "mirror", "scale_factors")

    def source_param(self) -> Any:
        param, transform = self.param.image_data_param, self.param.transform_param
        self.size = both_or_neither(param, "new_height", "new_width")
        crops = [
            (transform.crop_size, transform.crop_size) if transform.crop_size else None,
            both_or_neither(transform, "crop_height", "crop_width"),
        ]
        given = [crop for crop in crops if crop]
        if len(given) > 1:
            raise DataError("Use either crop_size or crop_height & crop_width, not both.")
        self.crop = given[0] if given else None
        self.label_type = enum_name(param, "label_type", ("NONE", "IMAGE", "PIXEL"))
        self.ignored: int = param.ignore_label
        self.factors = list(transform.scale_factors)
        if any(not factor > 0 for factor in self.factors):
            raise DataError(f"transform_param: scale_factors must be > 0: {self.factors}.")
        if transform.HasField("mean_file"):
            raise DataError("ImageSegData does not support a mean_file; give mean_value.")
        if param.label_fractions:
            raise DataError("image_data_param: label_fractions is for ImageLabelmapData.")
        return param

    def names_labels(self) -> bool:
        return self.label_type != "NONE"

    def batch_without_data(self) -> tuple[int, tuple[int, ...] | None]:
        param = self.source_param()
        size = self.crop or (None if self.factors else self.size)
        return param.batch_size, (3 if param.is_color else 1, *size) if size else None

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int | None, ...]]:
        shapes = super().shapes_without_data(2)
        return [*shapes, (shapes[0][0], 1, 1, 2)][:tops]

    def shape_labels(self, top: Sequence[Blob], number: int, shape: tuple[int, ...]) -> None:
        # A record's labels end with the image's height and width.
        if len(top) > 1:
            top[1].reshape(number, 1, *top[0].shape[2:])
        if len(top) > 2:
            top[2].reshape(number, 1, 1, 2)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().forward(bottom, top[:2])
        if len(top) > 1:
            values = top[1].data.copy()
            self.shape_labels(top, len(values), ())
            top[1].data[...] = values[:, :-2].reshape(top[1].shape)
            if len(top) > 2:
                top[2].data[...] = values[:, -2:].reshape(top[2].shape)

    def pair(self, pair: Pair, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        param, transform = self.param.image_data_param, self.param.transform_param
        path = str(self.context.resolve(param.root_folder + pair[0]))
        image = read_image(path, param.is_color)
        own = image.shape[1:]
        labels = self._labels(pair[1], own)
        height, width = self.size or own
        if self.factors:
            factor = self.factors[int(random.integers(len(self.factors)))]
            height, width = (max(int(side * factor + 0.5), 1) for side in (height, width))
        part = self.crop or (height, width)
        whole = (max(height, part[0]), max(width, part[1]))
        corner = random_corner(whole, part, random) if self.phase is Phase.TRAIN else middle_corner(whole, part)
        mirrored = transform.mirror and random.integers(2) == 1
        placing = Placing((height, width), corner, part, mirrored)
        values = placing.labels(labels, self.ignored).reshape(-1)
        margin = np.array(transform.mean_value or [0], np.float32)
        size = np.minimum(own, part)
        return placing.image(image, margin), np.concatenate([values, size]).astype(self.dtype)

    def _labels(self, named: str, size: tuple[int, ...]) -> np.ndarray:
        """The labels of an image of this size, (1, H, W)."""
        if self.label_type == "PIXEL":
            labels = self.read_labels(self.param.image_data_param.root_folder + named)
            if labels.shape[1:] != size:
                raise DataError(f"the image has {size} pixels, and its labels {labels.shape[1:]}.")
            return labels
        if self.label_type == "NONE":
            return np.full((1, *size), self.ignored, np.int16)
        try:
            label = int(named)
        except ValueError:
            raise DataError(
                f"{named!r} is not a number, as a label of label_type IMAGE is; images of labels are label_type PIXEL."
            ) from None
        return np.full((1, *size), label, np.int16)
