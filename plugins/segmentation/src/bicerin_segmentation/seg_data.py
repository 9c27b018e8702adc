"""SegData: one image at a time, and the image of its labels, at a random scale.

A line of `source` is "image label"; `root_dir` is put before both. The sides are multiplied with a number between the
two `scale_ratios` and rounded, images linearly, labels by the nearest pixel; the part that is taken at random is as
large as whole multiples of `stride` fit, and at most `upper_size`, or `upper_height` and `upper_width`. With `mirror`
every second pair is mirrored. With `balance` a part of which one label has more than 0.8 is drawn anew, ten times at
most. All of it in TEST too.

Source: the SegDataLayer of yjxiong/caffe.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import HasExample
from bicerin_data.image import read_image
from bicerin_segmentation.pair_data import PairDataLayer
from bicerin_segmentation.pair_list import Pair
from bicerin_segmentation.placing import Placing, random_corner

#: Of how much of a part one label may be, and how often another part is drawn.
_MOST, _TRIALS = 0.8, 10


class SegDataLayer(HasExample, PairDataLayer):
    """Tops: an image `(1, 3, h, w)` and its labels `(1, 1, h, w)`, of another size each time."""

    type = "SegData"
    example = """
        layer {
          name: "data" type: "SegData" top: "data" top: "label"
          transform_param { mean_value: 104 mean_value: 117 mean_value: 123 mirror: true }
          seg_data_param { source: "train.txt" root_dir: "photos/" shuffle: true }
        }
        """
    places = ("mirror", "scale_ratios", "stride", "upper_size", "upper_height", "upper_width")

    def source_param(self) -> Any:
        transform = self.param.transform_param
        ratios = list(transform.scale_ratios) or [1.0, 1.0]
        if len(ratios) != 2 or not 0 < ratios[0] <= ratios[1]:
            raise DataError(f"transform_param: scale_ratios must be two numbers, 0 < lower <= upper, not {ratios}.")
        self.ratios = ratios
        self.stride: int = transform.stride
        if self.stride < 1:
            raise DataError("transform_param: stride must be > 0.")
        self.most: tuple[int, int] | None = None
        if transform.HasField("upper_size"):
            self.most = (transform.upper_size, transform.upper_size)
        elif transform.HasField("upper_height") and transform.HasField("upper_width"):
            self.most = (transform.upper_height, transform.upper_width)
        elif transform.HasField("upper_height") or transform.HasField("upper_width"):
            raise DataError("transform_param: upper_height and upper_width must be set at the same time.")
        if self.most and min(self.most) < 1:
            raise DataError(f"transform_param: the upper sizes must be > 0, not {self.most}.")
        if transform.HasField("mean_file"):
            raise DataError("transform_param: a mean_file does not fit images of random sizes; give mean_value.")
        return self.param.seg_data_param

    def batch_without_data(self) -> tuple[int, tuple[int, ...] | None]:
        return 1, None

    def pair(self, pair: Pair, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        root = self.param.seg_data_param.root_dir
        image = read_image(str(self.context.resolve(root + pair[0])))
        labels = self.read_labels(root + pair[1])
        self.require_one_size(image, labels)
        placing = self._placing(image.shape[1:], random)
        placed = placing.labels(labels, 0)
        if self.param.seg_data_param.balance:
            for _ in range(_TRIALS):
                if np.bincount(placed.reshape(-1)).max() <= _MOST * placed.size:
                    break
                placing = self._placing(image.shape[1:], random)
                placed = placing.labels(labels, 0)
        return placing.image(image, np.zeros(0)), placed

    def _placing(self, size: tuple[int, ...], random: np.random.Generator) -> Placing:
        lower, upper = self.ratios
        ratio = lower + int(random.integers(int((upper - lower) * 1000) + 1)) / 1000
        height, width = (int(side * ratio + 0.5) for side in size)
        part = tuple(side // self.stride * self.stride for side in (height, width))
        if self.most:
            part = tuple(min(pair) for pair in zip(part, self.most, strict=True))
        if min(part) < 1:
            raise DataError(f"an image of {height} x {width} has no part of whole multiples of stride {self.stride}.")
        mirrored = self.param.transform_param.mirror and random.integers(2) == 1
        return Placing((height, width), random_corner((height, width), part, random), (part[0], part[1]), mirrored)
