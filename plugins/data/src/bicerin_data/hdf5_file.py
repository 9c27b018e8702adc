"""One HDF5 file whose datasets agree in their rows, read row by row without loading it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bicerin.errors import DataError, ProtoError
from bicerin.layer.data_file import data_errors
from bicerin_proto import Hdf5Reader

#: Files whose rows are wanted in random order are held in memory up to this size, since single rows are slow to read.
_MOST_BYTES_HELD = 1 << 28
#: Room for decompressed chunks, so that a chunk larger than a batch is not decompressed for each batch.
_CHUNK_CACHE = 1 << 26


class Hdf5File:
    """The datasets of one file, one for each top.

    Args:
        path: the file.
        names: the datasets, in the order of the tops.

    Attributes:
        rows: how many rows each dataset has.
        shapes: of one row of each dataset.

    Raises:
        DataError: the file is missing, truncated or not HDF5; lacks a dataset; their rows differ; or one holds no
            numbers.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self._held: list[np.ndarray] | None = None
        self._may_hold = True
        with data_errors("HDF5 file"):
            self._reader = Hdf5Reader(path, rdcc_nbytes=_CHUNK_CACHE)
        try:
            with data_errors("HDF5 file"):
                self._datasets = [self._reader.numbers(name) for name in names]
            self._check(names)
        except DataError:
            self.close()
            raise
        self.rows: int = self._datasets[0].shape[0]
        self.shapes = [tuple(dataset.shape[1:]) for dataset in self._datasets]

    def _check(self, names: Sequence[str]) -> None:
        for name, dataset in zip(names, self._datasets, strict=True):
            if not dataset.shape:
                raise DataError(f'{self.path}: dataset "{name}" is a scalar. Input must have at least 1 axis.')
            rows, first = dataset.shape[0], self._datasets[0].shape[0]
            if rows != first:
                raise DataError(f'{self.path}: dataset "{name}" has {rows} rows, but "{names[0]}" has {first}.')

    @contextlib.contextmanager
    def _reading(self, first: int, last: int) -> Iterator[None]:
        """Name the rows in whatever goes wrong."""
        try:
            with self._reader.faults():
                yield
        except ProtoError as error:
            raise DataError(
                f"{self.path}: rows {first} to {last} cannot be read: {error.__cause__ or error}"
            ) from error.__cause__

    def read(self, rows: slice, out: Sequence[np.ndarray]) -> None:
        """Write rows to arrays, one for each dataset, converted to the arrays' type."""
        with self._reading(rows.start, rows.stop - 1):
            for dataset, array in zip(self._datasets, out, strict=True):
                if array.size:
                    dataset.read_direct(array, source_sel=rows)

    def gather(self, rows: np.ndarray, out: Sequence[np.ndarray]) -> None:
        """Write rows in any order, none twice, to arrays, one for each dataset."""
        if not rows.size:
            return
        self._hold()
        if self._held is not None:
            for held, array in zip(self._held, out, strict=True):
                array[...] = held[rows]
            return
        with self._reading(int(rows.min()), int(rows.max())):
            order = np.argsort(rows)
            for dataset, array in zip(self._datasets, out, strict=True):
                array[order] = dataset[rows[order]]

    def _hold(self) -> None:
        """Load the file, if it is small and whole."""
        if self._held is None and self._may_hold:
            self._may_hold = False
            if sum(dataset.nbytes for dataset in self._datasets) <= _MOST_BYTES_HELD:
                # What is wrong with a row is told when it is its turn.
                with contextlib.suppress(ProtoError), self._reader.faults():
                    self._held = [dataset[()] for dataset in self._datasets]

    def close(self) -> None:
        self._held = None
        self._reader.close()
