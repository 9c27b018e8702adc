"""ImageLabelmapData: images, and images of their edges, that a text file lists (HED, RCF).

A line of `image_data_param { source }` is "image label"; `root_folder` is put before both. Both are resized linearly
where `new_height` and `new_width` are given. With `crop_size` a part is taken at random, with `mirror` every second
pair is mirrored, both in TEST too. A label is 0 to 255 in its file, and 1 from 128 on, else 0, in the blob; with
`label_fractions` it is that over 255, as in RCF.

Images of different sizes need new sizes, a crop_size, or a batch_size of 1.

Source: the ImageLabelmapDataLayers of s9xie/hed and yun-liu/RCF, which are told apart by `label_fractions`, ours.
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


class ImageLabelmapDataLayer(HasExample, PairDataLayer):
    """Tops: images `(N, C, h, w)` and labels from 0 to 1, `(N, 1, h, w)`."""

    type = "ImageLabelmapData"
    example = """
        layer {
          name: "data" type: "ImageLabelmapData" top: "data" top: "label"
          transform_param { mean_value: 104 mean_value: 117 mean_value: 123 mirror: true }
          image_data_param { source: "train.txt" root_folder: "photos/" shuffle: true batch_size: 1 }
        }
        """
    places = ("crop_size", "mirror")

    def source_param(self) -> Any:
        param = self.param.image_data_param
        self.size = both_or_neither(param, "new_height", "new_width")
        transform = self.param.transform_param
        if transform.crop_size and transform.HasField("mean_file"):
            raise DataError("transform_param: a mean_file does not follow a part of the image; give mean_value.")
        if param.HasField("label_type") or param.HasField("ignore_label"):
            raise DataError("image_data_param: label_type and ignore_label are for ImageSegData.")
        return param

    def batch_without_data(self) -> tuple[int, tuple[int, ...] | None]:
        param, crop = self.source_param(), self.param.transform_param.crop_size
        size = (crop, crop) if crop else self.size
        return param.batch_size, (3 if param.is_color else 1, *size) if size else None

    def pair(self, pair: Pair, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        param, transform = self.param.image_data_param, self.param.transform_param
        image = read_image(str(self.context.resolve(param.root_folder + pair[0])), param.is_color)
        labels = self.read_labels(param.root_folder + pair[1])
        self.require_one_size(image, labels)
        height, width = self.size or image.shape[1:]
        labels = resized_pixels(labels, height, width, cv2.INTER_LINEAR)
        crop = transform.crop_size
        if min(height, width) < crop:
            raise DataError(f"an image of {height} x {width} is smaller than crop_size {crop}.")
        part = (crop, crop) if crop else (height, width)
        mirrored = transform.mirror and random.integers(2) == 1
        placing = Placing((height, width), random_corner((height, width), part, random), part, mirrored)
        labels = placing.labels(labels, 0)
        edges = labels / np.float32(255) if param.label_fractions else labels >= 128
        return placing.image(image, np.zeros(0)), edges
