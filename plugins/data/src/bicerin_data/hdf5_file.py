"""One HDF5 file whose datasets agree in their rows, read row by row without loading it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError, MissingDataError

#: Files whose rows are wanted in random order are held in memory up to this size, since single rows are slow to read.
_MOST_BYTES_HELD = 1 << 28
#: Room for decompressed chunks, so that a chunk larger than a batch is not decompressed for each batch.
_CHUNK_CACHE = 1 << 26


def h5py() -> Any:
    """The module.

    Raises:
        DataError: it is not installed; says how to get it.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"HDF5 needs h5py, which cannot be imported: {error}.", "pip install h5py") from error
    return h5py


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
        library = h5py()
        try:
            self._file = library.File(path, "r", rdcc_nbytes=_CHUNK_CACHE, locking="best-effort")
        except OSError as error:
            if not path.exists():
                raise MissingDataError(f"HDF5 file {path} does not exist.") from None
            raise DataError(f"Failed opening HDF5 file {path}: {error}") from None
        try:
            self._datasets = [self._dataset(library, name) for name in names]
        except DataError:
            self.close()
            raise
        self.rows: int = self._datasets[0].shape[0]
        self.shapes = [tuple(dataset.shape[1:]) for dataset in self._datasets]
        for name, dataset in zip(names, self._datasets, strict=True):
            if dataset.shape[0] != self.rows:
                self.close()
                raise DataError(
                    f'{path}: dataset "{name}" has {dataset.shape[0]} rows, but "{names[0]}" has {self.rows}.'
                )

    def _dataset(self, library: Any, name: str) -> Any:
        dataset = self._file.get(name)
        if not isinstance(dataset, library.Dataset):
            there = ", ".join(sorted(self._file)) or "nothing"
            raise DataError(
                f'{self.path}: Failed to find HDF5 dataset "{name}".',
                f"Each top needs a dataset of its name; the file holds: {there}.",
            )
        if dataset.dtype.kind not in "iuf":
            raise DataError(f'{self.path}: dataset "{name}" holds {dataset.dtype}, which are no numbers.')
        if not dataset.shape:
            raise DataError(f'{self.path}: dataset "{name}" is a scalar. Input must have at least 1 axis.')
        return dataset

    def read(self, rows: slice, out: Sequence[np.ndarray]) -> None:
        """Write rows to arrays, one for each dataset, converted to the arrays' type."""
        try:
            for dataset, array in zip(self._datasets, out, strict=True):
                if array.size:
                    dataset.read_direct(array, source_sel=rows)
        except OSError as error:
            raise DataError(f"{self.path}: rows {rows.start} to {rows.stop - 1} cannot be read: {error}") from error

    def gather(self, rows: np.ndarray, out: Sequence[np.ndarray]) -> None:
        """Write rows in any order, none twice, to arrays, one for each dataset."""
        if not rows.size:
            return
        self._hold()
        if self._held is not None:
            for held, array in zip(self._held, out, strict=True):
                array[...] = held[rows]
            return
        try:
            order = np.argsort(rows)
            for dataset, array in zip(self._datasets, out, strict=True):
                array[order] = dataset[rows[order]]
        except OSError as error:
            raise DataError(f"{self.path}: rows {rows.min()} to {rows.max()} cannot be read: {error}") from None

    def _hold(self) -> None:
        """Load the file, if it is small and whole."""
        if self._held is None and self._may_hold:
            self._may_hold = False
            if sum(dataset.nbytes for dataset in self._datasets) <= _MOST_BYTES_HELD:
                with contextlib.suppress(OSError):  # of a bad row, which is told when it is its turn
                    self._held = [dataset[()] for dataset in self._datasets]

    def close(self) -> None:
        self._held = None
        self._file.close()
