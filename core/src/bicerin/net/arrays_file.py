"""Files of named arrays, NumPy's .npz."""

from __future__ import annotations

import zipfile
import zlib
from os import PathLike

import numpy as np

from bicerin.errors import DataError
from bicerin_proto.quotation import printable


def read_arrays(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an .npz by their names. Arrays of objects are refused: they would be unpickled.

    Raises:
        DataError: the file cannot be read, is no .npz, or is damaged.
    """
    try:
        if not zipfile.is_zipfile(path):
            with open(path, "rb"):  # which says why, where the file cannot be opened at all
                pass
            raise DataError(f"{printable(path)}: is not an .npz of arrays; numpy.savez writes one.")
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        objects = "Object arrays" in str(error)
        why = "an array in it holds Python objects, not numbers" if objects else f"it is damaged: {error}"
        raise DataError(f"{printable(path)}: {why}.") from error
    except (KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{printable(path)}: it is damaged: {error}.") from error
