"""Data: batches from a store of Datum records.

Source: Caffe's `DataLayer`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import HasExample, Layer, Phase, enum_name
from bicerin_data.batch_reader import BatchReader
from bicerin_data.datum import read_datum
from bicerin_data.decoding_reader import DecodingReader
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.stores import Store, open_store
from bicerin_data.transformer import Transformer

_log = logging.getLogger("bicerin.data")

#: What the reader's generators are for, besides the transformation of a batch (0).
_SKIP = 1


class DataLayer(HasExample, PrefetchingLayer):
    """Top 0: images (N, C, H, W), transformed as `transform_param` says. Top 1, where there is one: labels (N,).

    The store is read in the order of its keys, over and over. Of several solvers that train together, each uses the
    records whose number is its own rank modulo their number.
    """

    type = "Data"
    example = """
        layer {
          name: "data" type: "Data" top: "data" top: "label"
          transform_param { mean_file: "mean.binaryproto" scale: 0.00390625 }
          data_param { source: "train_lmdb" backend: LMDB batch_size: 64 }
        }
        """

    def open_reader(self) -> BatchReader:
        param = self.param.data_param
        if not param.source:
            raise DataError("data_param names no source.")
        backend = enum_name(param, "backend", ("LEVELDB", "LMDB"))
        path = self.context.resolve(param.source)
        return StoreReader(self, open_store(path, backend), self.transformer())


class _Record(NamedTuple):
    """A record of a store, and what is known once it was read.

    passed: how many records were passed, those of other solvers among them.
    records: how many this solver has in all, once a whole pass has shown that.
    """

    key: bytes
    value: bytes
    passed: int
    records: int | None


class StoreReader(DecodingReader):
    """Reads the records of a store: its solver's share of them, over and over. `parse` says what one of them is."""

    def __init__(self, layer: Layer, store: Store, transformer: Transformer) -> None:
        param = layer.param.data_param
        super().__init__(layer, param.batch_size, transformer)
        self._store = store
        self._rand_skip: int = param.rand_skip
        if param.force_encoded_color:
            _log.warning(
                'layer "%s": data_param { force_encoded_color } has no effect, as in Caffe 1.0; '
                "transform_param { force_color: true } has",
                layer.name,
            )
        train = layer.phase is Phase.TRAIN
        self._rank, self._replicas = (layer.context.rank, layer.context.replicas) if train else (0, 1)
        #: The key of the last record that was used, and how many were passed until then.
        self._after: bytes | None = None
        self._passed = 0
        #: The records that were not read yet; those in hand are not among them.
        self._records: Iterator[_Record] | None = None

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

    def next_record(self) -> _Record:
        if self._records is None:
            self._records = self._endless(self._after, self._passed)
            if self._rand_skip and not self._passed:
                self._skip(self._records, int(self.random(_SKIP).integers(self._rand_skip)))
        for record in self._records:
            return record
        # The records never end, unless reading them failed before.
        self._records = None
        raise DataError(f"source {self._store.path}: reading it failed before.")

    def decode(self, record: _Record) -> tuple[np.ndarray, Any]:
        return self.parse(record.value)

    def name_of(self, record: _Record) -> str:
        return self._store.record_name(record.key)

    def used(self, record: _Record) -> None:
        self._after, self._passed, self.bad.records = record.key, record.passed, record.records

    def _skip(self, records: Iterator[_Record], number: int) -> None:
        """Pass by records; whole passes of the store are not read again and again, since they change nothing."""
        while number:
            record = next(records)
            self.used(record)
            number -= 1
            if record.records and self._replicas == 1:
                number %= record.records

    def pass_by(self, batches: int) -> None:
        if self.bad.skipped or self._replicas > 1:
            super().pass_by(batches)
            return
        self.forget_ahead()
        if self._rand_skip and not self._passed:
            self._records = self._endless(self._after, 0)
            self._skip(self._records, int(self.random(_SKIP).integers(self._rand_skip)))
        self._records = None
        self.number += batches
        left = batches * self.batch_size
        while left:
            begin, known = self._after, left
            for key in self._store.keys(self._after):
                self._after, left = key, left - 1
                if not left:
                    break
            else:
                if begin is None and left == known:
                    raise DataError(f"source {self._store.path}: it holds no records.")
                self._after = None
            self._passed += known - left

    def parse(self, value: bytes) -> tuple[np.ndarray, Any]:
        """The image of a record, (C, H, W), and its label.

        Raises:
            DataError: it holds no image.
        """
        return read_datum(value, self.transformer.color)

    def _endless(self, after: bytes | None, passed: int) -> Iterator[_Record]:
        """This solver's records, over and over, from the one after a key."""
        known = self.bad.records
        while True:
            whole_pass, before, used = after is None, passed, 0
            for key, value in self._store.records(after):
                passed += 1
                if (passed - 1) % self._replicas == self._rank:
                    used += 1
                    yield _Record(key, value, passed, known)
            if whole_pass and passed == before:
                raise DataError(f"source {self._store.path}: it holds no records.")
            if whole_pass and used:
                known = used
            after = None
            _log.debug('layer "%s": Restarting data prefetching from start.', self.layer_name)

    def keys(self) -> Sequence[bytes]:
        if self._rand_skip or self._replicas > 1:
            raise DataError("it does not begin with the first record: rand_skip is set, or solvers share the records.")
        return list(self._store.keys())

    def place_after(self, batches: int, keys: Sequence[bytes]) -> Mapping[str, Any]:
        passed = batches * self.batch_size
        after = keys[(passed - 1) % len(keys)].hex() if passed else None
        return {**super().place_after(batches, keys), "passed": passed, "after": after}

    def position(self) -> dict[str, Any]:
        after = None if self._after is None else self._after.hex()
        return {**super().position(), "passed": self._passed, "after": after}

    def seek(self, position: Mapping[str, Any]) -> None:
        super().seek(position)
        self._passed = int(position["passed"])
        self._after = None if position["after"] is None else bytes.fromhex(position["after"])
        self._records = None
