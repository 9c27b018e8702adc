"""ImageData: batches of image files that a text file lists with their labels.

Source: Caffe's `ImageDataLayer`.
"""

from __future__ import annotations

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import HasExample, Layer
from bicerin_data.batch_reader import BatchReader
from bicerin_data.image import read_image
from bicerin_data.image_list import read_image_list
from bicerin_data.list_reader import ListReader, Turn
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.transformer import Transformer
from bicerin_proto import printable


class ImageDataLayer(HasExample, PrefetchingLayer):
    """Top 0: images (N, C, H, W), blue first, transformed as `transform_param` says. Top 1, if wanted: labels (N,).

    The file `source` has a line "path label" for each image; `root_folder` is put before each path. With `shuffle` the
    images are in a new order in each epoch. Without it and `rand_skip`, of several solvers that train together each
    uses the images whose number is its own rank modulo their number, which Caffe's do not. Images of different sizes
    need `new_height` and `new_width`, a `crop_size`, or a batch_size of 1.
    """

    type = "ImageData"
    example = """
        layer {
          name: "data" type: "ImageData" top: "data" top: "label"
          transform_param { mean_value: 104 mean_value: 117 mean_value: 123 mirror: true crop_size: 224 }
          image_data_param {
            source: "train.txt" root_folder: "photos/" new_height: 256 new_width: 256 shuffle: true batch_size: 32
          }
        }
        """

    def open_reader(self) -> BatchReader:
        param = self.param.image_data_param
        if (param.new_height == 0) != (param.new_width == 0):
            raise DataError(
                "Current implementation requires new_height and new_width to be set at the same time: "
                f"they are {param.new_height} and {param.new_width}."
            )
        lines = read_image_list(self.context.resolve(param.source))
        return _ImageReader(self, lines, self.transformer())

    def batch_without_data(self) -> tuple[int, tuple[int, ...] | None]:
        param, crop = self.param.image_data_param, self.param.transform_param.crop_size
        height, width = (crop, crop) if crop else (param.new_height, param.new_width)
        return param.batch_size, (3 if param.is_color else 1, height, width) if height else None


class _ImageReader(ListReader[tuple[str, int]]):
    """Its entries are paths and labels."""

    noun = "images"

    def __init__(self, layer: Layer, lines: list[tuple[str, int]], transformer: Transformer) -> None:
        param = self._param = layer.param.image_data_param
        self._resolve = layer.context.resolve
        source = str(self._resolve(param.source))
        super().__init__(
            layer, param.batch_size, transformer, lines, source, shuffle=param.shuffle, rand_skip=param.rand_skip
        )

    def decode(self, record: Turn) -> tuple[np.ndarray, int]:
        param = self._param
        name, label = record.entry
        path = self._resolve(param.root_folder + name)
        return read_image(str(path), param.is_color, param.new_height, param.new_width), label

    def name_of(self, record: Turn) -> str:
        return f'source {printable(self.source)}, image "{printable(record.entry[0])}"'

    def key(self, entry: tuple[str, int]) -> bytes:
        return entry[0].encode("utf-8", "surrogateescape")
