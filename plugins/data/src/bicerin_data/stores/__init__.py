"""Key-value stores of records: LMDB and LevelDB.

A store is read in the order of its keys. A store that is being written has a temporary name until it is complete.
"""

from __future__ import annotations

import importlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from bicerin.errors import DataError, MissingDataError
from bicerin_proto.quotation import printable, system_reason

BACKENDS = ("lmdb", "leveldb")


class Store(ABC):
    """A store opened to be read; may be used from one thread at a time.

    Attributes:
        backend: "LMDB" or "LEVELDB", as a prototxt calls it.
        path: where it is.
    """

    backend: ClassVar[str]
    path: Path

    def record_name(self, key: bytes) -> str:
        """What an error calls a record."""
        text = key.decode("utf-8", "replace")
        readable = text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text
        return f"source {self.path}, record " + (f'"{text}"' if readable else f"0x{key.hex()}")

    @abstractmethod
    def records(self, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of each record, in the order of the keys; with `after`, of those whose key is greater.

        Raises:
            DataError: the store is damaged.
        """

    def keys(self, after: bytes | None = None) -> Iterator[bytes]:
        """The key of each record, in their order; with `after`, of those whose key is greater.

        Raises:
            DataError: the store is damaged.
        """
        for key, _ in self.records(after):
            yield key


class StoreWriter(ABC):
    """A store that is being written."""

    @abstractmethod
    def put(self, key: bytes, value: bytes) -> None:
        """Add a record."""


def backend_of(path: Path) -> str:
    """Which kind of store a path holds: "lmdb" or "leveldb".

    Raises:
        MissingDataError: there is nothing.
        DataError: it is neither.
    """
    name = printable(path)
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        raise MissingDataError(f"source {name} does not exist.", f"It was looked for at {path.absolute()}.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"source {name} cannot be a store: {system_reason(error)}.") from None
    if not is_folder or os.path.exists(path / "data.mdb"):
        return "lmdb"
    if os.path.exists(path / "CURRENT"):
        return "leveldb"
    raise DataError(f"source {name} is neither an LMDB nor a LevelDB: it holds neither data.mdb nor CURRENT.")


def open_store(path: Path, backend: str) -> Store:
    """Open a store to read it.

    Args:
        backend: "lmdb" or "leveldb", in any case.

    Raises:
        DataError: it is missing, of another kind or damaged, or the library that reads it is not installed.
    """
    actual = backend_of(path)
    if actual != backend.lower():
        raise DataError(
            f"source {path} is of the kind {actual.upper()}, but it is to be opened as {backend.upper()}.",
            f"Set backend: {actual.upper()} (a prototxt that sets none means LEVELDB).",
        )
    store: Store = _module(backend).open_store(path)
    return store


def create_store(path: Path, backend: str) -> AbstractContextManager[StoreWriter]:
    """Write a new store: a context manager that gives a `StoreWriter`.

    The store gets its name when the block ends without an exception; otherwise nothing is left.

    Raises:
        DataError: something of that name exists, or it cannot be written.
    """
    if os.path.exists(path):
        raise DataError(f"{path} exists already.", "Remove it, or choose another name.")
    writer: AbstractContextManager[StoreWriter] = _module(backend).create_store(path)
    return writer


def _module(backend: str) -> Any:
    if backend.lower() not in BACKENDS:
        raise DataError(f"unknown backend {backend!r}.", f"There are: {', '.join(BACKENDS)}.")
    return importlib.import_module(f"bicerin_data.stores.{backend.lower()}_store")
