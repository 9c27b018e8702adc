"""LMDB: a folder with `data.mdb`, or that file alone. https://lmdb.readthedocs.io"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import lmdb

from bicerin.errors import DataError
from bicerin_data.stores import Store, StoreWriter
from bicerin_data.stores.lmdb_pages import DamagedPageError, checked_leaves
from bicerin_data.stores.unfinished import unfinished_folder

#: Readers of one store share its environment: LMDB forbids a process to open a file twice. By device and inode, since a
#: store may be removed and made anew while a net reads the old one.
_environments: weakref.WeakValueDictionary[tuple[int, int], _Environment] = weakref.WeakValueDictionary()
_opening = threading.Lock()

_FIRST_MAP = 1 << 28
_RECORDS_A_TRANSACTION = 1000


class _Environment:
    def __init__(self, path: Path) -> None:
        file = _data_file(path)
        #: The store's own file, which stays what it is when the path gets another.
        self.file: BinaryIO = file.open("rb", buffering=0)
        # A store that came as a copy, from a read-only disk or a repository, has no lock file and needs none.
        lock_file = path / "lock.mdb" if path.is_dir() else path.with_name(path.name + "-lock")
        size = os.fstat(self.file.fileno()).st_size
        if not size:
            raise DataError(f"source {path}: {file.name} is empty (0 bytes).")
        options: dict[str, Any] = {"subdir": path.is_dir(), "readonly": True, "create": False, "max_readers": 512}
        try:
            try:
                self.lmdb = lmdb.open(str(path), lock=lock_file.exists() and os.access(lock_file, os.W_OK), **options)
            except lmdb.LockError:
                self.lmdb = lmdb.open(str(path), lock=False, **options)
            pages = self.lmdb.info()["last_pgno"] + 1
            expected = pages * self.lmdb.stat()["psize"]
        except lmdb.Error as error:
            hint = None
            if "already open" in str(error):
                hint = "This program has it open through lmdb.open: call env.close() before the net is made."
            raise DataError(f"source {path} cannot be opened as LMDB: {error}", hint) from None
        if size < expected:
            # Reading on would be a bus error, since LMDB maps the file into memory.
            self.lmdb.close()
            raise DataError(
                f"source {path} is truncated: {file.name} has {size} bytes, but {pages} pages need {expected}."
            )


def _data_file(path: Path) -> Path:
    return path / "data.mdb" if path.is_dir() else path


class LmdbStore(Store):
    backend = "LMDB"

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opening:
            status = _data_file(path).stat()
            key = (status.st_dev, status.st_ino)
            environment = _environments.get(key)
            if environment is None:
                environment = _environments[key] = _Environment(path)
        self._environment = environment

    def records(self, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        environment = self._environment.lmdb
        try:
            with environment.begin() as transaction, transaction.cursor() as cursor:
                file = self._environment.file
                leaves = checked_leaves(file.fileno(), environment.stat()["psize"], transaction.id())
                if leaves is None:
                    yield from _all(cursor, after)
                else:
                    yield from _leaf_by_leaf(cursor, after, leaves)
        except (lmdb.Error, DamagedPageError) as error:
            raise DataError(f"source {self.path} is damaged: {error}.") from None


def _begin(cursor: Any, after: bytes | None) -> bool:
    """Go to the first record, or to the first after a key; whether there is one."""
    found: bool = cursor.first() if after is None else cursor.set_range(after)
    return cursor.next() if found and cursor.key() == after else found


def _all(cursor: Any, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    found = _begin(cursor, after)
    while found:
        yield cursor.item()
        found = cursor.next()


def _leaf_by_leaf(cursor: Any, after: bytes | None, leaves: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """All records, of which none is touched before its leaf has been looked at."""
    started = False
    for last in leaves:
        if after is not None and last <= after:
            continue
        found = cursor.next() if started else _begin(cursor, after)
        started = True
        while found:
            key, value = cursor.item()
            yield key, value
            if key == last:
                break
            found = cursor.next()


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
