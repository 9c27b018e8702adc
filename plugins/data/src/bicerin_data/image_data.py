"""ImageData: batches of image files that a text file lists with their labels.

Source: Caffe's `ImageDataLayer`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Layer, Phase
from bicerin_data.batch_reader import BatchReader
from bicerin_data.decoding_reader import DecodingReader
from bicerin_data.image import read_image
from bicerin_data.image_list import read_image_list
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.transformer import Transformer
from bicerin_proto import printable

_log = logging.getLogger("bicerin.data")

#: What the reader's generators are for, besides the transformation of a batch (0).
_SKIP, _ORDER = 1, 2


class ImageDataLayer(PrefetchingLayer):
    """Top 0: images (N, C, H, W), blue first, transformed as `transform_param` says. Top 1, if wanted: labels (N,).

    The file `source` has a line "path label" for each image; `root_folder` is put before each path. With `shuffle` the
    images are in a new order in each epoch. Images of different sizes need `new_height` and `new_width`, a `crop_size`,
    or a batch_size of 1.
    """

    type = "ImageData"

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


class _Line(NamedTuple):
    """An image of the list, and where the reader stands after it."""

    name: str
    label: int
    line: int
    epoch: int


class _ImageReader(DecodingReader):
    def __init__(self, layer: Layer, lines: list[tuple[str, int]], transformer: Transformer) -> None:
        param = layer.param.image_data_param
        super().__init__(layer, param.batch_size, transformer)
        self._lines = lines
        self._source = str(layer.context.resolve(param.source))
        self._param = param
        self._resolve = layer.context.resolve
        self._order = np.arange(len(lines))
        self.bad.records = len(lines)
        #: The next line in the present order, and how often all lines have been read; and both as of the images that
        #: were used.
        self._line = 0
        self._epoch = 0
        if param.rand_skip:
            skip = int(self.random(_SKIP).integers(param.rand_skip))
            if skip >= len(lines):
                raise DataError(f"Not enough points to skip: {skip} of {len(lines)}.")
            self._line = skip
        elif layer.phase is Phase.TRAIN and layer.context.rank > 0 and not param.shuffle:
            _log.warning('layer "%s": Shuffling or skipping recommended for multi-GPU.', layer.name)
        self._used = (self._line, self._epoch)
        self._shuffle()

    def _shuffle(self) -> None:
        """Put the lines into the order of the epoch."""
        if self._param.shuffle:
            self._order = self.random(_ORDER, self._epoch).permutation(len(self._lines))

    def first_shape(self) -> tuple[int, ...]:
        for number in range(self._line, self._line + len(self._lines)):
            name, _ = self._lines[self._order[number % len(self._lines)]]
            try:
                return self.transformer.output_shape(self._image(name).shape)
            except DataError as error:
                if not self.bad.skipped:
                    raise type(error)(f"{self._place_of(name)}: {error.reason}", error.hint) from error.__cause__
        raise DataError(f"source {self._source}: none of its {len(self._lines)} images can be read.")

    def next_record(self) -> _Line:
        name, label = self._lines[self._order[self._line]]
        self._line += 1
        if self._line >= len(self._lines):
            _log.debug('layer "%s": Restarting data prefetching from start.', self.layer_name)
            self._line = 0
            self._epoch += 1
            self._shuffle()
        return _Line(name, label, self._line, self._epoch)

    def decode(self, record: _Line) -> tuple[np.ndarray, int]:
        return self._image(record.name), record.label

    def name_of(self, record: _Line) -> str:
        return self._place_of(record.name)

    def used(self, record: _Line) -> None:
        self._used = (record.line, record.epoch)

    def _place_of(self, name: str) -> str:
        return f'source {printable(self._source)}, image "{printable(name)}"'

    def _image(self, name: str) -> np.ndarray:
        param = self._param
        path = self._resolve(param.root_folder + name)
        return read_image(str(path), param.is_color, param.new_height, param.new_width)

    def keys(self) -> Sequence[bytes]:
        if self._param.shuffle or self._param.rand_skip:
            raise DataError("its images come in another order each time: it has shuffle or rand_skip.")
        return [name.encode("utf-8", "surrogateescape") for name, _ in self._lines]

    def place_after(self, batches: int, keys: Sequence[bytes]) -> Mapping[str, Any]:
        epoch, line = divmod(batches * self.batch_size, len(keys))
        return {**super().place_after(batches, keys), "line": line, "epoch": epoch}

    def position(self) -> dict[str, Any]:
        return {**super().position(), "line": self._used[0], "epoch": self._used[1]}

    def seek(self, position: Mapping[str, Any]) -> None:
        super().seek(position)
        self._line, self._epoch = self._used = int(position["line"]), int(position["epoch"])
        self._shuffle()
