"""LevelDB: a folder of tables, through plyvel.

LevelDB has no way to open a store only to read it: it rewrites log and manifest, and lets in one user at a time. So it
is given a folder of its own, in which the tables are links to the store's. The store itself is never changed, may be on
a read-only disk, and serves any number of nets.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bicerin.errors import DataError
from bicerin.layer.data_file import read_data
from bicerin_data.stores import Store, StoreWriter
from bicerin_data.stores.unfinished import unfinished_folder
from bicerin_proto import printable

_TABLES = (".ldb", ".sst")
_BYTES_A_BATCH = 1 << 24


def plyvel() -> Any:
    """The module.

    Raises:
        DataError: it is not installed; says how to get it.
    """
    try:
        import plyvel
    except ImportError as error:
        raise DataError(
            f"LevelDB is read with plyvel, which cannot be imported: {error}.",
            "pip install plyvel, or convert the store to LMDB.",
        ) from error
    return plyvel


class LeveldbStore(Store):
    backend = "LEVELDB"

    def __init__(self, path: Path) -> None:
        self.path = path
        library = plyvel()
        self._error = library.Error
        self._view = tempfile.TemporaryDirectory(prefix="bicerin-leveldb-", ignore_cleanup_errors=True)
        try:
            for file in path.iterdir():
                if file.suffix in _TABLES:
                    os.symlink(file.absolute(), os.path.join(self._view.name, file.name))
                elif file.suffix == ".log" or file.name == "CURRENT" or file.name.startswith("MANIFEST-"):
                    Path(self._view.name, file.name).write_bytes(read_data(file, "source"))
            self._leveldb = library.DB(self._view.name, create_if_missing=False, paranoid_checks=True)
        except (library.Error, OSError) as error:
            raise DataError(
                f"source {printable(path)} cannot be opened as LevelDB: {_of(path, error, self._view.name)}"
            ) from None

    def keys(self, after: bytes | None = None) -> Iterator[bytes]:
        try:
            with self._leveldb.iterator(
                start=after, include_start=False, include_value=False, verify_checksums=True, fill_cache=False
            ) as iterator:
                yield from iterator
        except self._error as error:
            raise DataError(f"source {self.path} is damaged: {_of(self.path, error, self._view.name)}") from None

    def records(self, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        try:
            with self._leveldb.iterator(
                start=after, include_start=False, verify_checksums=True, fill_cache=False
            ) as iterator:
                yield from iterator
        except self._error as error:
            raise DataError(f"source {self.path} is damaged: {_of(self.path, error, self._view.name)}") from None


def _of(path: Path, error: Exception, view: str) -> str:
    """LevelDB's message, about the store instead of the folder that stands for it."""
    text = error.decode() if isinstance(error, bytes) else str(error)
    return text.replace(view, str(path))


def open_store(path: Path) -> LeveldbStore:
    return LeveldbStore(path)


class _LeveldbWriter(StoreWriter):
    def __init__(self, leveldb: Any) -> None:
        self._leveldb = leveldb
        self._batch = leveldb.write_batch()
        self._bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        self._batch.put(key, value)
        self._bytes += len(key) + len(value)
        if self._bytes >= _BYTES_A_BATCH:
            self.flush()

    def flush(self) -> None:
        self._batch.write()
        self._batch.clear()
        self._bytes = 0


@contextlib.contextmanager
def create_store(path: Path) -> Iterator[StoreWriter]:
    library = plyvel()
    with unfinished_folder(path) as folder:
        try:
            with contextlib.closing(library.DB(str(folder), create_if_missing=True, error_if_exists=True)) as leveldb:
                writer = _LeveldbWriter(leveldb)
                yield writer
                writer.flush()
        except library.Error as error:
            raise DataError(f"{path} cannot be written: {_of(path, error, str(folder))}") from None
