"""BoxData: batches of images with boxes, from a store of Datum records.

A record's image is encoded, and its `float_data` holds the objects, six numbers each: class, from 0, difficult, and the
box's centre x, y, width and height, as parts of the image.

While training, a part of the image, 71 to 100 % of its width and height, is cut out at random and stretched to the size
of the image; an object whose centre is within it stays.

Source: the BoxDataLayer of caffe-yolo and caffe-yolov2. What differs: with `mirror` the boxes are mirrored with their
image; `crop_size`, which would leave the boxes where they were, is refused; and where eight parts in a row hold no
object the whole image is taken, with what it holds, be it nothing. `label_rows` is ours: the forks have a BoxData for
either form of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from bicerin.errors import DataError
from bicerin.layer import TEST, Blob, BlobCounts, HasExample, at_least, enum_name
from bicerin_data.batch_reader import Batch, BatchReader
from bicerin_data.data import StoreReader
from bicerin_data.datum import datum_array, parse_datum
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.stores import open_store
from bicerin_data.transformer import Transformer

#: Numbers of an object in a record: class, difficult, x, y, width, height.
COLUMNS = 6
#: The side of YOLO 1's map, where none is given.
SIDE = 7
#: How many parts of an image are tried.
TRIALS = 8


class BoxDataLayer(HasExample, PrefetchingLayer):
    """Top 0: images, `(N, C, H, W)`, transformed as `transform_param` says. Tops 1 and on: one for each
    `data_param.side` S, `(N, 7 S^2)`: planes of difficult, is object and class, -1 for none, and a box x, y, width,
    height for each place; of several objects at a place, the last. With `data_param.label_rows` R top 1 is `(N, 5 R)`:
    rows of class, x, y, width, height, zeros after the last object.
    """

    type = "BoxData"
    example = """
        layer {
          name: "data" type: "BoxData" top: "data" top: "label"
          transform_param { scale: 0.00390625 mirror: true }
          data_param { source: "train_lmdb" backend: LMDB batch_size: 32 side: 7 }
        }
        """
    counts = BlobCounts(bottom=0, top=at_least(1))

    def open_reader(self) -> BatchReader:
        param = self.param.data_param
        if not param.source:
            raise DataError("data_param names no source.")
        transform = type(self.param.transform_param)()
        transform.CopyFrom(self.param.transform_param)
        if transform.crop_size:
            raise DataError("crop_size would leave the boxes where they were; BoxData cuts parts out itself.")
        mirror = transform.mirror
        transform.mirror = False  # the reader does it, and mirrors the boxes too
        transformer = Transformer(transform, self.phase, self.dtype, self.context.resolve)
        backend = enum_name(param, "backend", ("LEVELDB", "LMDB"))
        return _BoxReader(self, open_store(self.context.resolve(param.source), backend), transformer, mirror)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.data_param
        self.rows: int = param.label_rows
        self.sides = list(param.side) or [SIDE]
        if min(self.sides) < 1:
            raise DataError(f"data_param: side must be > 0: {self.sides}.")
        labels = len(top) - 1
        if labels and labels != (1 if self.rows else len(self.sides)):
            raise DataError(
                f"there must be {1 if self.rows else len(self.sides)} tops of labels, not {labels}.",
                "data_param { label_rows: 30 } gives one; without it there is one for each side.",
            )
        super().layer_set_up(bottom, top[:1])
        self._reshape_labels(top)

    def _reshape_labels(self, top: Sequence[Blob]) -> None:
        for blob, size in zip(top[1:], self.label_sizes(), strict=False):  # labels may be left out
            blob.reshape(self._reader.batch_size, size)

    def label_sizes(self) -> list[int]:
        """The numbers of an image in each top of labels."""
        return [5 * self.rows] if self.rows else [7 * side * side for side in self.sides]

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int | None, ...]]:
        data, *_ = super().shapes_without_data(1)
        return [data, *((data[0], size) for size in self.label_sizes())][:tops]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().forward(bottom, top[:2])
        if len(top) > 1:
            labels = top[1].data.copy()
            self._reshape_labels(top)
            ends = np.cumsum(self.label_sizes())
            for blob, part in zip(top[1:], np.split(labels, ends[:-1], axis=1), strict=True):
                blob.data[...] = part


class _BoxReader(StoreReader):
    def __init__(self, layer: BoxDataLayer, store: Any, transformer: Transformer, mirror: bool) -> None:
        super().__init__(layer, store, transformer)
        self._layer = layer
        self._train = layer.phase is not TEST
        self._mirror = mirror

    def parse(self, value: bytes) -> tuple[np.ndarray, np.ndarray]:
        """The image, (C, H, W), and its objects, (n, 6)."""
        datum = parse_datum(value)
        if not datum.encoded:
            raise DataError("it is not encoded: BoxData reads records of an encoded image and boxes in float_data.")
        objects = np.array(datum.float_data, np.float64)
        if objects.size % COLUMNS:
            raise DataError(
                f"float_data holds {objects.size} numbers, but an object has {COLUMNS}: class, difficult, x, y, width, "
                "height."
            )
        objects = objects.reshape(-1, COLUMNS)
        if not (objects[:, 0] >= 0).all():
            raise DataError(f"an object is of class {objects[:, 0].min():g}; classes are 0 or more.")
        if not ((objects[:, 2:4] >= 0) & (objects[:, 2:4] <= 1)).all() or not (objects[:, 4:] > 0).all():
            raise DataError("an object's centre is not in the image, or its width or height is not greater than 0.")
        return datum_array(datum, self.transformer.color), objects

    def read(self, recycled: Batch | None) -> Batch:
        """The next batch. Its shape is that of its first record."""
        random = self.random(0, self.number)
        images: list[np.ndarray] = []
        sizes = self._layer.label_sizes()
        labels = np.zeros((self.batch_size, sum(sizes)), self.dtype)
        shape: tuple[int, ...] | None = None
        while len(images) < self.batch_size:
            record: Any = self.next_image()
            image, objects, name = record
            output = self.fitting_shape(image, name, shape)
            if output is None:
                continue
            shape = output
            if self._train:
                image, objects = part_of_image(image, objects, random)
            if self._mirror and random.integers(2):
                image, objects = image[:, :, ::-1], objects * [1, 1, -1, 1, 1, 1] + [0, 0, 1, 0, 0, 0]
            self._write(objects, labels[len(images)])
            images.append(image)
            self.bad.good()
        assert shape is not None  # There is at least one image in a batch.
        data = self.array_for(recycled, shape)
        self.transformer(images, random, data)
        self.number += 1
        return Batch(data, labels, self.position())

    def _write(self, objects: np.ndarray, label: np.ndarray) -> None:
        if self._layer.rows:
            own = objects[: self._layer.rows, [0, 2, 3, 4, 5]]
            label[: own.size] = own.reshape(-1)
            return
        start = 0
        for side, size in zip(self._layer.sides, self._layer.label_sizes(), strict=True):
            write_places(objects, side, label[start : start + size])
            start += size


def part_of_image(image: np.ndarray, objects: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A part of an image, stretched to its size, and the objects whose centres it holds."""
    _, height, width = image.shape
    size = np.array([width, height])
    for _ in range(TRIALS):
        extent = np.maximum((size * (1 - random.integers(30) / 100)).astype(np.int64) - 1, 1)
        corner = random.integers(0, np.maximum(size - extent, 1))
        pixels = (objects[:, 2:].reshape(-1, 2, 2) * size).astype(np.int64)
        inside = ((pixels[:, 0] >= corner) & (pixels[:, 0] < corner + extent) & (pixels[:, 1] > 0)).all(axis=1)
        if inside.any():
            break
    else:
        return image, objects
    left, top = corner
    cut = image[:, top : top + extent[1], left : left + extent[0]].transpose(1, 2, 0)
    stretched = cv2.resize(np.ascontiguousarray(cut), (width, height), interpolation=cv2.INTER_LINEAR)
    moved = np.concatenate([(pixels[:, 0] - corner) / extent, pixels[:, 1] / extent], axis=1)
    kept = np.concatenate([objects[:, :2], moved], axis=1)[inside]
    return stretched.reshape(height, width, -1).transpose(2, 0, 1), kept


def write_places(objects: np.ndarray, side: int, label: np.ndarray) -> None:
    """The label of YOLO 1: planes of difficult, is object and class, and a box for each place, `(7 S^2,)`."""
    places = side * side
    label[2 * places : 3 * places] = -1
    column, row = np.minimum((objects[:, 2:4] * side).astype(np.int64), side - 1).T
    at = row * side + column
    label[at] = objects[:, 1]
    label[places + at] = 1
    label[2 * places + at] = objects[:, 0]
    label[3 * places :].reshape(places, 4)[at] = objects[:, 2:]
