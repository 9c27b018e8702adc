"""What the layers that read images with an image of labels have in common.

All that is random in an image's place, size and order comes from the reader's seed and the image's turn, so that a run
that is resumed, or one of the same seed, sees the same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Blob
from bicerin_data.batch_reader import BatchReader
from bicerin_data.image import read_image
from bicerin_data.list_reader import ListReader, Turn
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.transformer import Transformer
from bicerin_proto import printable
from bicerin_segmentation.pair_list import Pair, read_pair_list

#: What the generators of turns are for; ListReader has 0 to 2.
_PLACE = 3

#: Options of `transform_param` that bicerin-data's layers know, and that would move an image away from its labels.
_APART = (
    "random_resize_param", "random_aspect_ratio_param", "fix_crop", "more_fix_crop", "multi_scale", "scale_ratios",
    "max_distort", "is_flow", "img_rand_resize_lower", "img_rand_resize_upper", "rand_resize_ratio_lower",
    "rand_resize_ratio_upper", "vertical_stretch_lower", "vertical_stretch_upper", "horizontal_stretch_lower",
    "horizontal_stretch_upper", "allow_upscale", "interpolation_algo_up", "interpolation_algo_down",
    "crop_size", "mirror", "stride", "upper_size", "upper_height", "upper_width", "scale_factors",
    "crop_width", "crop_height", "force_color", "force_gray",
)  # fmt: skip


class PairDataLayer(PrefetchingLayer):
    """Top 0: images `(N, C, h, w)`, blue first. Top 1, if wanted: their labels, `(N, 1, h, w)`."""

    #: The options of `transform_param` that say where pixels go, which the layer's own code honours.
    places: tuple[str, ...] = ()

    @abstractmethod
    def source_param(self) -> Any:
        """The message with `source`, `batch_size`, `shuffle` and `rand_skip`, if it has these."""

    @abstractmethod
    def pair(self, pair: Pair, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The image of a line of the list, (C, h, w), and its labels, of the form of a batch's.

        Called in several threads at once.

        Raises:
            DataError: one of them cannot be read, or they do not fit.
        """

    def names_labels(self) -> bool:
        """Whether each line of the list names labels."""
        return True

    def open_reader(self) -> BatchReader:
        param = self.source_param()
        if not param.source:
            raise DataError(f"{self.type} names no source.")
        return _PairReader(self, param, self._values_transformer())

    def _values_transformer(self) -> Transformer:
        """What is done with values: the mean and the scale. What says where pixels go is not its business."""
        param = type(self.param.transform_param)()
        param.CopyFrom(self.param.transform_param)
        for field, value in self.param.transform_param.ListFields():
            if field.name not in _APART:
                continue
            if field.name not in self.places and value != field.default_value:
                raise DataError(
                    f"transform_param: {field.name} is not for {self.type}, whose labels would stay where they were."
                )
            param.ClearField(field.name)
        return Transformer(param, self.phase, self.dtype, self.context.resolve)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top[:1])
        reader = self._reader
        assert isinstance(reader, _PairReader)
        self.shape_labels(top, reader.batch_size, reader.label_shape)

    def shape_labels(self, top: Sequence[Blob], number: int, shape: tuple[int, ...]) -> None:
        """Give the tops after the first the shape that labels of this one need."""
        if len(top) > 1:
            top[1].reshape(number, *shape)

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int | None, ...]]:
        batch, image = self.batch_without_data()
        size = image[1:] if image else (None, None)
        return [(batch, *(image or (None, None, None))), (batch, 1, *size)][:tops]

    def read_labels(self, name: str) -> np.ndarray:
        """An image file of labels as one grey channel, uint8, shape (1, H, W)."""
        return read_image(str(self.context.resolve(name)), False)

    def require_one_size(self, image: np.ndarray, labels: np.ndarray) -> None:
        """Raise a `DataError` unless both have as many rows and columns."""
        if image.shape[1:] != labels.shape[1:]:
            raise DataError(f"the image has {image.shape[1:]} pixels, and its labels {labels.shape[1:]}.")


class _PairReader(ListReader[Pair]):
    noun = "images"

    def __init__(self, layer: PairDataLayer, param: Any, transformer: Transformer) -> None:
        fields = param.DESCRIPTOR.fields_by_name
        self._layer = layer
        self.label_shape: tuple[int, ...] = ()
        path = layer.context.resolve(param.source)
        super().__init__(
            layer,
            param.batch_size if "batch_size" in fields else 1,
            transformer,
            read_pair_list(path, layer.names_labels()),
            str(path),
            shuffle=param.shuffle,
            rand_skip=param.rand_skip if "rand_skip" in fields else 0,
        )

    def decode(self, record: Turn) -> tuple[np.ndarray, np.ndarray]:
        image, labels = self._layer.pair(record.entry, self.random(_PLACE, record.epoch, record.line))
        if not self.label_shape:
            self.label_shape = labels.shape
        return image, labels

    def name_of(self, record: Turn) -> str:
        return f'source {printable(self.source)}, image "{printable(record.entry[0])}"'

    def key(self, entry: Pair) -> bytes:
        return entry[0].encode("utf-8", "surrogateescape")


def both_or_neither(param: Any, height: str, width: str) -> tuple[int, int] | None:
    """Two sizes of a message that belong together; None where neither is given.

    Raises:
        DataError: one of them is given.
    """
    size = (getattr(param, height), getattr(param, width))
    if all(size):
        return size
    if any(size):
        raise DataError(f"{height} and {width} must be set at the same time: they are {size[0]} and {size[1]}.")
    return None
