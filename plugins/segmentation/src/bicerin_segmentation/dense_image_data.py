"""DenseImageData: images, and images of their labels, that a text file lists.

A line of `source` is "image label"; `root_folder` is put before both, or `root_folder_image` and `root_folder_label`.
Images are resized linearly to `new_height` x `new_width`, labels by the nearest pixel, to these sizes over
`label_divide_factor` (ENet's encoder). With `crop_height` and `crop_width` a part is taken at random, with `mirror`
every second pair is mirrored, in TEST too. `transform_param` has the mean and the scale, which labels are spared.

Images of different sizes need new sizes, a crop, or a batch_size of 1.

Source: the DenseImageDataLayer of alexgkendall/caffe-segnet; of TimoSaemann/caffe-enet for the factor and the folders.
What differs: jolibrain's `rotate` and `one_hot_nclasses` are refused.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from bicerin.errors import DataError
from bicerin.layer import HasExample
from bicerin_data.image import read_image
from bicerin_segmentation.pair_data import PairDataLayer, both_or_neither
from bicerin_segmentation.pair_list import Pair
from bicerin_segmentation.placing import Placing, random_corner, resized_pixels


class DenseImageDataLayer(HasExample, PairDataLayer):
    """Tops: images `(N, C, h, w)` and labels `(N, 1, h / label_divide_factor, w / label_divide_factor)`."""

    type = "DenseImageData"
    example = """
        layer {
          name: "data" type: "DenseImageData" top: "data" top: "label"
          dense_image_data_param { source: "train.txt" new_height: 360 new_width: 480 shuffle: true batch_size: 4 }
        }
        """

    def source_param(self) -> Any:
        param = self.param.dense_image_data_param
        self.size = both_or_neither(param, "new_height", "new_width")
        self.crop = both_or_neither(param, "crop_height", "crop_width")
        self.factor: int = param.label_divide_factor
        if self.factor < 1:
            raise DataError("label_divide_factor must be > 0.")
        if self.crop and self.factor > 1:
            raise DataError("a crop is of labels that are as large as the image: label_divide_factor must be 1.")
        for name in ("rotate", "one_hot_nclasses"):
            if getattr(param, name):
                raise DataError(f"{name}, of jolibrain's fork, is not known to this layer: leave it out.")
        if param.mean_file:
            raise DataError("dense_image_data_param: mean_file has no effect; transform_param has one.")
        self.roots = (param.root_folder_image or param.root_folder, param.root_folder_label or param.root_folder)
        return param

    def batch_without_data(self) -> tuple[int, tuple[int, ...] | None]:
        param = self.source_param()
        size = self.crop or self.size
        return param.batch_size, (3 if param.is_color else 1, *size) if size else None

    def shapes_without_data(self, tops: int) -> Any:
        data, *labels = super().shapes_without_data(tops)
        return [data, *((one[0], 1, *(side and side // self.factor for side in one[2:])) for one in labels)]

    def pair(self, pair: Pair, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        param = self.param.dense_image_data_param
        path = str(self.context.resolve(self.roots[0] + pair[0]))
        image = read_image(path, param.is_color, *(self.size or (0, 0)))
        labels = self.read_labels(self.roots[1] + pair[1])
        size = image.shape[1:]
        if self.size:
            labels = resized_pixels(labels, size[0] // self.factor, size[1] // self.factor, cv2.INTER_NEAREST)
        if labels.shape[1:] != tuple(side // self.factor for side in size):
            raise DataError(
                f"the image has {size} pixels, and its labels {labels.shape[1:]}, of which each stands for "
                f"{self.factor} x {self.factor}."
            )
        mirrored = param.mirror and random.integers(2) == 1
        if self.crop and (size[0] < self.crop[0] or size[1] < self.crop[1]):
            raise DataError(f"an image of {size[0]} x {size[1]} is smaller than the crop, {self.crop}.")
        part = self.crop or size
        corner = random_corner(size, part, random)
        placed = Placing(size, corner, part, mirrored).image(image, np.zeros(0))
        return placed, Placing(labels.shape[1:], corner, self.crop or labels.shape[1:], mirrored).labels(labels, 0)
