"""LMDB: a folder with `data.mdb`, or that file alone. https://lmdb.readthedocs.io"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb

from bicerin.errors import DataError
from bicerin.layer.data_file import data_errors
from bicerin_data.stores import Store, StoreWriter
from bicerin_data.stores.lmdb_pages import DamagedPageError, LmdbPages
from bicerin_data.stores.unfinished import unfinished_folder
from bicerin_proto import open_file

_FIRST_MAP = 1 << 28
_RECORDS_A_TRANSACTION = 1000


class LmdbStore(Store):
    """Read as `lmdb_pages` does: any number of readers, beside the program's own `lmdb.open`, and without a trace.

    The file stays what it is when the store is removed or made anew under its name.
    """

    backend = "LMDB"

    def __init__(self, path: Path) -> None:
        self.path = path
        file = path / "data.mdb" if os.path.isdir(path) else path
        with data_errors("source"):
            self._file = open_file(file)
        if not os.fstat(self._file.fileno()).st_size:
            raise DataError(f"source {path}: {file.name} is empty (0 bytes).")
        with self._named("cannot be opened as LMDB"):
            self._pages = LmdbPages(self._file)

    def records(self, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        with self._named("is damaged"):
            yield from self._pages.records(after)

    def keys(self, after: bytes | None = None) -> Iterator[bytes]:
        with self._named("is damaged"):
            yield from self._pages.keys(after)

    @contextlib.contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except (DamagedPageError, OSError) as error:
            raise DataError(f"source {self.path} {what}: {error}.") from None


def open_store(path: Path) -> LmdbStore:
    return LmdbStore(path)


class _LmdbWriter(StoreWriter):
    """Puts in transactions of a thousand records; the map grows as it fills."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._pending: list[tuple[bytes, bytes]] = []

    def put(self, key: bytes, value: bytes) -> None:
        self._pending.append((key, value))
        if len(self._pending) >= _RECORDS_A_TRANSACTION:
            self.flush()

    def flush(self) -> None:
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in self._pending:
                        transaction.put(key, value)
                break
            except lmdb.MapFullError:
                self._environment.set_mapsize(self._environment.info()["map_size"] * 2)
        self._pending.clear()


@contextlib.contextmanager
def create_store(path: Path) -> Iterator[StoreWriter]:
    with unfinished_folder(path) as folder:
        try:
            environment = lmdb.open(str(folder), map_size=_FIRST_MAP, lock=False, sync=False)
            with environment:
                writer = _LmdbWriter(environment)
                yield writer
                writer.flush()
                environment.sync(True)
        except lmdb.Error as error:
            raise DataError(f"{path} cannot be written: {error}") from None
