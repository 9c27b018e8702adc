"""Files that a layer's parameters name: read whole, or an error of the layer's that names them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from os import PathLike

import numpy as np

import bicerin_proto
from bicerin.errors import DataError, MissingDataError, MissingFileError, ProtoError
from bicerin_proto import printable
from bicerin_proto.decode import decode


def read_data(path: str | PathLike[str], failure: str) -> bytes:
    """The bytes of a file.

    Args:
        failure: what an error begins with; the path and the reason follow: "Could not open or find file".

    Raises:
        MissingDataError: there is no such file.
        DataError: it is a folder or an endless device, cannot be read, or there can be no file of that path.
    """
    with data_errors(failure):
        return bicerin_proto.read_file(path)


def read_data_text(path: str | PathLike[str], failure: str) -> str:
    """The text of a file; as `read_data`.

    Raises:
        DataError: it is not UTF-8 either.
    """
    with data_errors(failure):
        return bicerin_proto.read_text(path)


def read_blob(path: str | PathLike[str], failure: str) -> np.ndarray:
    """The numbers of a file that is a binary BlobProto, such as a mean image; as `read_data`.

    Returns:
        A read-only array of the shape that the file gives, float32, or float64 where it holds doubles.

    Raises:
        DataError: it is not a BlobProto either, or holds other numbers than its shape says.
    """
    blob = bicerin_proto.BlobProto()
    with data_errors(failure):
        decode(bicerin_proto.read_file(path), blob, printable(path), "BlobProto")
    try:
        return bicerin_proto.blob_array(blob)
    except ProtoError as error:
        raise DataError(f"{failure} {printable(path)}: {error}") from None


@contextlib.contextmanager
def data_errors(failure: str) -> Iterator[None]:
    """Make what goes wrong with a file in the block an error of the layer that reads it.

    Args:
        failure: what the error begins with; the path and the reason follow.

    Raises:
        MissingDataError: there is no such file.
        DataError: anything else is wrong with it.
    """
    try:
        yield
    except MissingFileError as error:
        raise MissingDataError(f"{failure} {error}") from None
    except ProtoError as error:
        raise DataError(f"{failure} {error}") from error.__cause__
