"""MemoryData: batches of arrays that a program sets.

Source: Caffe's `MemoryDataLayer`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bicerin.errors import DataError, ShapeError
from bicerin.layer import Blob, BlobCounts, HasExample, Layer, TellsShapes
from bicerin_data.datum import datum_array
from bicerin_data.image import planes
from bicerin_data.transformer import Transformer

_log = logging.getLogger("bicerin.data")


class MemoryDataLayer(HasExample, TellsShapes, Layer):
    """Top 0: data (batch_size, channels, height, width). Top 1: labels, (batch_size, 1, 1, 1) once there are some.

    Give it arrays with `reset` (as they are), or records with `add_datum_vector` or `add_mat_vector` (transformed as
    `transform_param` says). It gives one batch after the other, over and over.
    """

    type = "MemoryData"
    example = """
        layer {
          name: "data" type: "MemoryData" top: "data" top: "label"
          memory_data_param { batch_size: 16 channels: 3 height: 32 width: 32 }
        }
        """
    counts = BlobCounts(bottom=0, top=2)
    runs_on = "host"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.memory_data_param
        self.batch_size: int = param.batch_size
        self.shape = (param.channels, param.height, param.width)
        if not min(self.batch_size, *self.shape) > 0:
            raise ShapeError(
                "batch_size, channels, height, and width must be specified and positive in memory_data_param: "
                f"they are {self.batch_size}, {', '.join(map(str, self.shape))}."
            )
        top[0].reshape(self.batch_size, *self.shape)
        top[1].reshape(self.batch_size)
        self._transformer = Transformer(self.param.transform_param, self.phase, self.dtype, self.context.resolve)
        self._data: np.ndarray | None = None
        self._labels: np.ndarray | None = None
        self._position = 0
        #: Whether records were added that the net has not had yet.
        self._new = False

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int, ...]]:
        return [(self.batch_size, *self.shape), (self.batch_size,)]

    def reset(self, data: Any, labels: Any) -> None:
        """Use these arrays from now on, from their first row; a copy is made only to change the type.

        Args:
            data: shape (n, channels, height, width), n a multiple of the batch size.
            labels: n numbers, of any shape.

        Raises:
            DataError: the shapes do not fit.
        """
        if self.param.HasField("transform_param"):
            _log.warning('layer "%s": %s does not transform array data on reset.', self.name, self.type)
        self._use(np.asarray(data, self.dtype), np.asarray(labels, self.dtype))

    set_input_arrays = reset

    def add_datum_vector(self, datums: Iterable[Any]) -> None:
        """Use these `Datum` records, transformed, from now on. The net must have had those that were added before."""
        datums = list(datums)
        images = [datum_array(datum, self._transformer.color) for datum in datums]
        self._add(images, [datum.label for datum in datums])

    def add_mat_vector(self, images: Iterable[np.ndarray], labels: Iterable[float]) -> None:
        """Use these uint8 images, (H, W) or (H, W, C) as OpenCV has them, transformed, from now on."""
        self._add([planes(np.asarray(image)) for image in images], list(labels))

    def set_batch_size(self, batch_size: int) -> None:
        """Change the batch size; the tops follow with the next forward pass."""
        if self._new:
            raise DataError("Can't change batch_size until current data has been consumed.")
        if batch_size <= 0:
            raise DataError("Positive batch size required.")
        self.batch_size = batch_size

    def _add(self, images: Sequence[np.ndarray], labels: Sequence[float]) -> None:
        if self._new:
            raise DataError("Can't add data until current data has been consumed.")
        if not images:
            raise DataError("There is no datum to add.")
        if len(images) % self.batch_size:
            raise DataError(
                "The added data must be a multiple of the batch size: "
                f"{len(images)} records, {self.batch_size} a batch."
            )
        for index, image in enumerate(images):
            shape = self._transformer.output_shape(image.shape)
            if shape != self.shape:
                raise DataError(f"record {index} has the shape {shape}; memory_data_param says {self.shape}.")
        data = np.empty((len(images), *self.shape), self.dtype)
        self._transformer(images, self.context.random, data)
        self._use(data, np.asarray(labels, self.dtype))
        self._new = True

    def _use(self, data: np.ndarray, labels: np.ndarray) -> None:
        if data.ndim != 4 or data.shape[1:] != self.shape:
            raise DataError(f"data must have the shape (n, {', '.join(map(str, self.shape))}), not {data.shape}.")
        number = len(data)
        if labels.size != number:
            raise DataError(f"data and labels must have the same first dimension: {number} and {labels.size}.")
        if not number or number % self.batch_size:
            raise DataError(f"n must be a multiple of batch size: {number} rows, {self.batch_size} a batch.")
        self._data, self._labels, self._position = data, labels.reshape(number), 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The shapes come with the data."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._data is None or self._labels is None:
            raise DataError(
                "MemoryDataLayer needs to be initialized by calling Reset.",
                "Call reset(data, labels) or add_datum_vector(datums) of the layer, or set_input_arrays of the net.",
            )
        if len(self._data) % self.batch_size:
            raise DataError(f"n must be a multiple of batch size: {len(self._data)} rows, {self.batch_size} a batch.")
        rows = slice(self._position, self._position + self.batch_size)
        top[0].reshape(self.batch_size, *self.shape)
        top[0].data[...] = self._data[rows]
        # Caffe gives labels four axes here, though one at the set-up.
        top[1].reshape(self.batch_size, 1, 1, 1)
        top[1].data.reshape(-1)[...] = self._labels[rows]
        self._position = rows.stop % len(self._data)
        if not self._position:
            self._new = False
