"""Key-value stores of records: LMDB and LevelDB.

A store is read in the order of its keys. A store that is being written has a temporary name until it is complete.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from bicerin.errors import DataError

BACKENDS = ("lmdb", "leveldb")


class Store(ABC):
    """A store opened to be read; may be used from one thread at a time.

    Attributes:
        backend: "LMDB" or "LEVELDB", as a prototxt calls it.
        path: where it is.
    """

    backend: ClassVar[str]
    path: Path

    @abstractmethod
    def records(self, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of each record, in the order of the keys; with `after`, of those whose key is greater.

        Raises:
            DataError: the store is damaged.
        """


class StoreWriter(ABC):
    """A store that is being written."""

    @abstractmethod
    def put(self, key: bytes, value: bytes) -> None:
        """Add a record."""


def open_store(path: Path, backend: str) -> Store:
    """Open a store to read it.

    Args:
        backend: "lmdb" or "leveldb", in any case.

    Raises:
        DataError: it is missing, of another kind or damaged, or the library that reads it is not installed.
    """
    if not path.exists():
        raise DataError(f"source {path} does not exist.", f"It was looked for at {path.absolute()}.")
    module = _module(backend)
    if path.is_dir():
        actual = "lmdb" if (path / "data.mdb").exists() else "leveldb" if (path / "CURRENT").exists() else None
        if actual is None:
            raise DataError(
                f"source {path} is neither an LMDB nor a LevelDB: it holds neither data.mdb nor CURRENT.",
            )
        if actual != backend.lower():
            raise DataError(
                f"source {path} is {'an LMDB' if actual == 'lmdb' else 'a LevelDB'}, "
                f"but it is to be opened as {backend.upper()}.",
                f"Set backend: {actual.upper()} (the default is LEVELDB).",
            )
    store: Store = module.open_store(path)
    return store


def create_store(path: Path, backend: str) -> AbstractContextManager[StoreWriter]:
    """Write a new store: a context manager that gives a `StoreWriter`.

    The store gets its name when the block ends without an exception; otherwise nothing is left.

    Raises:
        DataError: something of that name exists, or it cannot be written.
    """
    if path.exists():
        raise DataError(f"{path} exists already.", "Remove it, or choose another name.")
    writer: AbstractContextManager[StoreWriter] = _module(backend).create_store(path)
    return writer


def _module(backend: str):  # type: ignore[no-untyped-def]
    if backend.lower() not in BACKENDS:
        raise DataError(f"unknown backend {backend!r}.", f"There are: {', '.join(BACKENDS)}.")
    return importlib.import_module(f"bicerin_data.stores.{backend.lower()}_store")
