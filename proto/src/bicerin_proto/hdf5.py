"""HDF5 files, read through h5py: whatever is wrong with one is a `ProtoError` that names the file and the dataset.

h5py raises nearly every exception of Python for a damaged file, and takes text, complex numbers and records of several
fields for arrays like any other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

from bicerin_proto.errors import BicerinError, ProtoError
from bicerin_proto.file import open_file
from bicerin_proto.memory import machine_memory
from bicerin_proto.quotation import printable

if TYPE_CHECKING:
    import numpy as np

_MAGIC = b"\x89HDF\r\n\x1a\n"
_NUMBERS = "biuf"
"""The kinds of NumPy's types that are real numbers."""


def h5py() -> Any:
    """Return the module.

    Raises:
        ProtoError: it is not installed; says how to get it.
    """
    try:
        import h5py
    except ImportError as error:
        raise ProtoError(f"HDF5 needs h5py, which cannot be imported: {error}; pip install h5py") from error
    return h5py


def is_hdf5(path: str | PathLike[str]) -> bool:
    """Tell whether a file begins as HDF5 does. One that cannot be read does not; a pipe is not looked into."""
    try:
        if not os.path.isfile(path):
            return False
        with open_file(path) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except (BicerinError, OSError):
        return False


class Hdf5Reader:
    """An HDF5 file, open to be read.

    Args:
        path: where it is.
        options: for `h5py.File`.

    Attributes:
        name: what messages call the file.
        file: the `h5py.File`, for use within `faults`.

    Raises:
        MissingFileError: there is no such file.
        ProtoError: it is not a file or not HDF5, truncated or damaged, or h5py is not installed.
    """

    def __init__(self, path: str | PathLike[str], **options: Any) -> None:
        self.name = printable(path)
        self._library = h5py()
        open_file(path).close()
        with self.faults():
            self.file: Any = self._library.File(path, "r", locking="best-effort", **options)

    def __enter__(self) -> Hdf5Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError, RuntimeError):
            self.file.close()

    @contextlib.contextmanager
    def faults(self, what: str = "") -> Iterator[None]:
        """Name the file, and what of it is read, in whatever h5py raises in the block."""
        try:
            yield
        except BicerinError:
            raise
        except MemoryError as error:
            raise ProtoError(f"{self._named(what)} does not fit into memory") from error
        except Exception as error:
            reason = printable(error.args[0] if isinstance(error, KeyError) and error.args else error)
            raise ProtoError(f"{self._named(what)} cannot be read, the HDF5 file is damaged: {reason}") from error

    def _named(self, what: str) -> str:
        return f'{self.name}: dataset "{printable(what)}"' if what else self.name

    def names(self, group: str = "/") -> list[str]:
        """Return the names in a group, in their order; none where there is no such group."""
        with self.faults(group.strip("/")):
            found = self.file.get(group)
            return sorted(found) if isinstance(found, self._library.Group) else []

    def is_group(self, name: str) -> bool:
        """Tell whether there is a group of that name."""
        with self.faults(name):
            return self.file.get(name, getclass=True) is self._library.Group

    def numbers(self, name: str) -> Any:
        """Return the dataset of that name, an `h5py.Dataset` of real numbers.

        Raises:
            ProtoError: there is none, or it holds something else: text, complex numbers, records, nothing.
        """
        with self.faults(name):
            dataset = self.file.get(name)
            if dataset is None:
                there = ", ".join(map(printable, self.names(name.rpartition("/")[0] or "/"))) or "nothing"
                raise ProtoError(f'{self.name}: there is no dataset "{printable(name)}"; there is: {there}')
            if not isinstance(dataset, self._library.Dataset):
                raise ProtoError(f'{self.name}: "{printable(name)}" is a group, expected a dataset')
            if dataset.shape is None:
                raise ProtoError(f"{self._named(name)} is empty, without a shape; expected an array of numbers")
            if dataset.dtype.kind not in _NUMBERS:
                raise ProtoError(f"{self._named(name)} holds {printable(dataset.dtype)}, which are not real numbers")
            return dataset

    def read(self, name: str) -> np.ndarray:
        """Return the whole dataset of that name.

        Raises:
            ProtoError: as `numbers`; or it is damaged, or cannot fit into memory.
        """
        dataset = self.numbers(name)
        with self.faults(name):
            if dataset.nbytes > machine_memory():
                raise ProtoError(
                    f"{self._named(name)} has the shape {dataset.shape}, {dataset.nbytes} bytes; "
                    f"this machine has {machine_memory()}"
                )
            array: np.ndarray = dataset[...]
            return array

    def number(self, name: str) -> int:
        """Return the first number of a dataset.

        Raises:
            ProtoError: as `read`; or it has none.
        """
        values = self.read(name).reshape(-1)
        if not values.size or values[0] != values[0]:
            raise ProtoError(f"{self._named(name)} holds no number")
        with self.faults(name):
            return int(values[0])

    def text(self, name: str) -> bytes | None:
        """Return the text in a dataset of one value; None where there is no such dataset.

        Raises:
            ProtoError: it holds something else.
        """
        with self.faults(name):
            dataset = self.file.get(name)
            value = dataset[()] if isinstance(dataset, self._library.Dataset) and dataset.shape == () else None
            if isinstance(value, str):
                value = value.encode()
            if dataset is not None and not isinstance(value, bytes):
                raise ProtoError(f"{self._named(name)} is not a text")
            return value
