"""An HDF5 file that has its name only when it is complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bicerin.errors import DataError, ProtoError, ShapeError
from bicerin_proto import h5py, printable
from bicerin_proto.atomic import temporary_path


class Hdf5Writer:
    """Datasets that grow by rows.

    Raises:
        DataError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._temporary = temporary_path(path)
            self._file = h5py().File(self._temporary, "w")
        except ProtoError as error:
            raise DataError(str(error)) from error.__cause__
        except (OSError, ValueError) as error:
            raise DataError(f"Failed to open HDF5 file {printable(path)} to write it: {printable(error)}") from None
        self._whole = True

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add rows to datasets, which are made when they are first named.

        Raises:
            ShapeError: a row has another shape than those before it.
            DataError: the file is finished, or cannot be written.
        """
        if not self._file:
            raise DataError(f"{self.path} is complete and closed.", "Build the net again to write another file.")
        for name, array in rows.items():
            if name in self._file and self._file[name].shape[1:] != array.shape[1:]:
                raise ShapeError(
                    f'{self.path}: a row of "{name}" has the shape {array.shape[1:]}, but those before it '
                    f"{self._file[name].shape[1:]}."
                )
        self._whole = False
        try:
            for name, array in rows.items():
                if name not in self._file:
                    shape = array.shape
                    self._file.create_dataset(name, (0, *shape[1:]), array.dtype, maxshape=(None, *shape[1:]))
                dataset = self._file[name]
                begin = dataset.shape[0]
                dataset.resize(begin + array.shape[0], axis=0)
                dataset[begin:] = array
        except (OSError, RuntimeError) as error:
            raise DataError(f"{self.path} cannot be written: {error}") from None
        self._whole = True

    def finish(self) -> None:
        """Close the file and give it its name; throw it away if a write failed half-way."""
        if not self._whole:
            self.discard()
            return
        try:
            self._file.close()
            os.replace(self._temporary, self.path)
        except (OSError, RuntimeError) as error:
            self.discard()
            raise DataError(f"{self.path} cannot be written: {error}") from None

    def discard(self) -> None:
        """Close the file and remove it."""
        with contextlib.suppress(OSError, RuntimeError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink()
