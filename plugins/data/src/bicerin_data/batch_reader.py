"""Readers: what makes batches, one after the other, from any source of records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Layer
from bicerin_data.bad_records import BadRecords
from bicerin_data.transformer import Transformer


@dataclass
class Batch:
    """One batch: data (N, C, H, W), label (N,), and where the reader stood after it.

    `memory`, where there is one, is the flat array under `data`, for the net to take: it gives another in exchange.
    """

    data: np.ndarray
    label: np.ndarray
    after: Mapping[str, Any] = field(default_factory=dict)
    memory: np.ndarray | None = None

    def give_up(self) -> np.ndarray:
        """The memory, for the next batch; this one has none any more."""
        memory = self.data.reshape(-1) if self.memory is None else self.memory
        self.data = self.memory = np.empty(0, memory.dtype)
        return memory


class BatchReader(ABC):
    """Reads one batch after the other. It belongs to the prefetching thread once that runs.

    What is random in batch n is drawn from a generator made from the reader's seed and n, so that a reader set to a
    position goes on exactly.

    Attributes:
        place: what is being read at the moment.
        number: of the next batch.
        bad: the records that cannot be used.
    """

    def __init__(self, layer: Layer, batch_size: int, transformer: Transformer) -> None:
        if batch_size <= 0:
            raise DataError("Positive batch size required.")
        self.batch_size = batch_size
        self.transformer = transformer
        self.dtype = layer.dtype
        self.layer_name = layer.name
        self.seed = int(layer.context.random.integers(2**62))
        self.number = 0
        self.bad = BadRecords(layer)
        self.place = "nothing read yet"

    @abstractmethod
    def first_shape(self) -> tuple[int, ...]:
        """The shape (C, h, w) that the first record of the next batch has after the transformation."""

    @abstractmethod
    def read(self, recycled: Batch | None) -> Batch:
        """The next batch, in the memory of one that is no longer used if that fits."""

    def read_ahead(self, beyond: bool) -> None:
        """Whether records of the batches after the one that is read are to be decoded meanwhile, where that is done."""

    def pass_by(self, batches: int) -> None:
        """Go on to the batch after so many, as if they had been read; by reading them, where nothing less tells where
        that is.
        """
        for _ in range(batches):
            self.read(None)

    def array_for(self, recycled: Batch | None, shape: tuple[int, ...]) -> np.ndarray:
        """An array for the images of a batch, each of this shape: that of the one no longer used if it fits."""
        if recycled is not None and recycled.data.shape == (self.batch_size, *shape):
            return recycled.data
        return np.empty((self.batch_size, *shape), self.dtype)

    def fitting_shape(self, image: np.ndarray, name: str, first: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """The shape that an image has after the transformation; None, and it counts as bad, where that is not `first`.

        Args:
            image: (C, H, W).
            name: what an error calls it.
            first: the shape of the batch's first image; None if this is it.

        Raises:
            DataError: bad records are not left out.
        """
        try:
            shape = self.transformer.output_shape(image.shape)
            if first is not None and shape != first:
                raise DataError(f"its shape is {shape}, but that of the batch's first record is {first}.")
        except DataError as error:
            self.bad.refuse(name, error)
            return None
        return shape

    def position(self) -> dict[str, Any]:
        """Where the reader stands: JSON values."""
        return {"seed": self.seed, "batch": self.number, "bad_records": self.bad.count}

    def seek(self, position: Mapping[str, Any]) -> None:
        """Stand where `position` was taken."""
        self.seed = int(position["seed"])
        self.number = int(position["batch"])
        self.bad.count = int(position["bad_records"])

    def keys(self) -> Sequence[bytes]:
        """The key of each record, in the order in which they are read, over and over.

        Raises:
            DataError: there are none, or their order is another each time.
        """
        raise DataError("its records have no keys by which reading could begin at any of them.")

    def place_after(self, batches: int, keys: Sequence[bytes]) -> Mapping[str, Any]:
        """The position in which a reader of these keys stands after so many batches, without bad records."""
        return {**BatchReader.position(self), "batch": batches}

    def random(self, *purpose: int) -> np.random.Generator:
        """The generator for a purpose, such as the shuffling of an epoch."""
        return np.random.default_rng((self.seed, *purpose))


class RecordReader(BatchReader):
    """A reader of records that are one image and one label each."""

    @abstractmethod
    def next_image(self) -> tuple[np.ndarray, float, str]:
        """The next good record: its image (C, H, W), its label, and what an error calls it."""

    def read(self, recycled: Batch | None) -> Batch:
        """The next batch. Its shape is that of its first record: only if cropped may records of a batch differ."""
        images: list[np.ndarray] = []
        label = np.empty(self.batch_size, self.dtype)
        shape: tuple[int, ...] | None = None
        while len(images) < self.batch_size:
            image, value, name = self.next_image()
            output = self.fitting_shape(image, name, shape)
            if output is None:
                continue
            shape = output
            label[len(images)] = value
            images.append(image)
            self.bad.good()
        assert shape is not None  # There is at least one image in a batch.
        data = self.array_for(recycled, shape)
        self.transformer(images, self.random(0, self.number), data)
        self.number += 1
        return Batch(data, label, self.position())
