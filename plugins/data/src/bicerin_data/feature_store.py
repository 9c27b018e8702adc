"""Where features are stored: LMDB, LevelDB, HDF5 or Parquet."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin_data.datum import array_datum
from bicerin_data.hdf5_writer import Hdf5Writer
from bicerin_data.stores import create_store
from bicerin_proto.atomic import temporary_path
from bicerin_proto.quotation import printable, system_reason

BACKENDS = ("lmdb", "leveldb", "hdf5", "parquet")
_SUFFIXES = {".h5": "hdf5", ".parquet": "parquet"}

#: Stores rows of features, given their keys; without keys, they are numbered.
Put = Callable[[np.ndarray, "Sequence[bytes] | None"], None]


def backend_of(path: Path) -> str:
    """The kind of store that a path's ending asks for: LMDB where it asks for none."""
    return _SUFFIXES.get(path.suffix, "lmdb")


@contextlib.contextmanager
def feature_store(path: Path, backend: str, name: str, key_length: int | None) -> Iterator[Put]:
    """A new store for the blob `name`, which gets its own name when the block ends without an exception.

    Args:
        key_length: in HDF5, of the longest key that will be given; None if rows will be numbered.

    Raises:
        DataError: it cannot be written; or a key comes twice, or cannot be kept there.
    """
    if backend == "hdf5":
        with _hdf5(path, name, key_length) as put:
            yield put
    elif backend == "parquet":
        with _parquet(path, name) as put:
            yield put
    else:
        with create_store(path, backend) as writer:
            count, seen = 0, set()

            def store(rows: np.ndarray, keys: Sequence[bytes] | None) -> None:
                nonlocal count
                for index, row in enumerate(rows):
                    key = f"{count:010d}".encode() if keys is None else keys[index]
                    if keys is not None:
                        if key in seen:
                            raise DataError(f'{printable(path)}: the key "{printable(_text(key))}" comes twice.')
                        seen.add(key)
                    writer.put(key, array_datum(row).SerializeToString())
                    count += 1

            yield store


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


@contextlib.contextmanager
def _hdf5(path: Path, name: str, key_length: int | None) -> Iterator[Put]:
    """A dataset of the blob's name, and one of the keys, `keys`."""
    if key_length is not None and name == "keys":
        raise DataError(f'{printable(path)}: the blob is called "keys", as is the dataset of the keys: use LMDB.')
    file = Hdf5Writer(path)

    def put(rows: np.ndarray, keys: Sequence[bytes] | None) -> None:
        if keys is None:
            file.append({name: rows})
            return
        ending = next((key for key in keys if key.endswith(b"\0")), None)
        if ending is not None:
            raise DataError(f"{printable(path)}: HDF5 loses the zero byte at the end of 0x{ending.hex()}: use LMDB.")
        file.append({name: rows, "keys": np.array(keys, f"S{max(1, key_length or 0)}")})

    try:
        yield put
    except BaseException:
        file.discard()
        raise
    file.finish()


@contextlib.contextmanager
def _parquet(path: Path, name: str) -> Iterator[Put]:
    """A column `key` of bytes and one of the blob's name: each row flat, its shape in the metadata `shape`."""
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(
            f"{printable(path)}: Parquet is written with pyarrow, which cannot be imported: {error}.",
            "pip install 'bicerin-data[parquet]', or write LMDB or HDF5.",
        ) from error
    try:
        temporary = temporary_path(path)
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be written: {system_reason(error)}.") from None
    writer, count = None, 0

    def put(rows: np.ndarray, keys: Sequence[bytes] | None) -> None:
        nonlocal writer, count
        flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
        values = arrow.FixedSizeListArray.from_arrays(arrow.array(flat.reshape(-1)), flat.shape[1])
        if writer is None:
            fields = [("key", arrow.binary()), (name, values.type)]
            writer = parquet.ParquetWriter(
                temporary, arrow.schema(fields, metadata={"shape": json.dumps(rows.shape[1:])})
            )
        named = [f"{number:010d}".encode() for number in range(count, count + len(rows))] if keys is None else keys
        count += len(rows)
        writer.write_table(arrow.table([arrow.array(named, arrow.binary()), values], schema=writer.schema))

    try:
        yield put
        if writer is not None:
            writer.close()
            os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be written: {system_reason(error)}.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
