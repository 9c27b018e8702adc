"""Data: batches from a store of Datum records.

Source: Caffe's `DataLayer`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Layer, Phase, enum_name
from bicerin_data.batch_reader import BatchReader, RecordReader
from bicerin_data.datum import datum_array, parse_datum
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.stores import Store, open_store
from bicerin_data.transformer import Transformer

_log = logging.getLogger("bicerin.data")

#: What the reader's generators are for, besides the transformation of a batch (0).
_SKIP = 1


class DataLayer(PrefetchingLayer):
    """Top 0: images (N, C, H, W), transformed as `transform_param` says. Top 1, where there is one: labels (N,).

    The store is read in the order of its keys, over and over. Of several solvers that train together, each uses the
    records whose number is its own rank modulo their number.
    """

    type = "Data"

    def open_reader(self) -> BatchReader:
        param = self.param.data_param
        if not param.source:
            raise DataError("data_param names no source.")
        backend = enum_name(param, "backend", ("LEVELDB", "LMDB"))
        path = self.context.resolve(param.source)
        return StoreReader(self, open_store(path, backend), self.transformer())


class StoreReader(RecordReader):
    """Reads the records of a store: its solver's share of them, over and over. `parse` says what one of them is."""

    def __init__(self, layer: Layer, store: Store, transformer: Transformer) -> None:
        param = layer.param.data_param
        super().__init__(layer, param.batch_size, transformer)
        self._store = store
        self._rand_skip: int = param.rand_skip
        train = layer.phase is Phase.TRAIN
        self._rank, self._replicas = (layer.context.rank, layer.context.replicas) if train else (0, 1)
        #: The last record's key, and how many records were passed, those of other solvers among them.
        self._after: bytes | None = None
        self._passed = 0
        self._records: Iterator[tuple[bytes, bytes]] | None = None

    def first_shape(self) -> tuple[int, ...]:
        reason = "it holds no records."
        for key, value in self._store.records():
            try:
                return self.transformer.output_shape(self.parse(value)[0].shape)
            except DataError as error:
                if not self.bad.skipped:
                    raise DataError(f"{self._store.record_name(key)}: {error.reason}", error.hint) from error.__cause__
                reason = f"it holds no good record; the last: {self._store.record_name(key)}: {error.reason}"
        raise DataError(f"source {self._store.path}: {reason}")

    def next_image(self) -> tuple[np.ndarray, float, str]:
        if self._records is None:
            self._records = self._endless()
            if self._rand_skip and not self._passed:
                self._skip(self._records, int(self.random(_SKIP).integers(self._rand_skip)))
        for key, value in self._records:
            name = self.place = self._store.record_name(key)
            try:
                return *self.parse(value), name
            except DataError as error:
                self.bad.refuse(name, error)
        # The records never end, unless reading them failed before.
        self._records = None
        raise DataError(f"source {self._store.path}: reading it failed before.")

    def _skip(self, records: Iterator[tuple[bytes, bytes]], number: int) -> None:
        """Pass by records; whole passes of the store are not read again and again, since they change nothing."""
        while number:
            next(records)
            number -= 1
            if self.bad.records and self._replicas == 1:
                number %= self.bad.records

    def parse(self, value: bytes) -> tuple[np.ndarray, Any]:
        """The image of a record, (C, H, W), and its label.

        Raises:
            DataError: it holds no image.
        """
        datum = parse_datum(value)
        return datum_array(datum, self.transformer.color), datum.label

    def _endless(self) -> Iterator[tuple[bytes, bytes]]:
        """This solver's records, over and over."""
        while True:
            whole_pass, passed, used = self._after is None, self._passed, 0
            for key, value in self._store.records(self._after):
                self._after = key
                self._passed += 1
                if (self._passed - 1) % self._replicas == self._rank:
                    used += 1
                    yield key, value
            if whole_pass and self._passed == passed:
                raise DataError(f"source {self._store.path}: it holds no records.")
            if whole_pass and used:
                self.bad.records = used
            self._after = None
            _log.debug('layer "%s": Restarting data prefetching from start.', self.layer_name)

    def position(self) -> dict[str, Any]:
        after = None if self._after is None else self._after.hex()
        return {**super().position(), "passed": self._passed, "after": after}

    def seek(self, position: Mapping[str, Any]) -> None:
        super().seek(position)
        self._passed = int(position["passed"])
        self._after = None if position["after"] is None else bytes.fromhex(position["after"])
        self._records = None
