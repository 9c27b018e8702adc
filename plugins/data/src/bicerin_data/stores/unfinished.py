"""A folder that has its name only when it is complete."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bicerin.errors import DataError
from bicerin_proto.atomic import temporary_path
from bicerin_proto.quotation import printable, system_reason


@contextlib.contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path`, which is renamed to `path` if the block succeeds, and removed if not.

    Raises:
        DataError: the folder cannot be made, or another one took the name meanwhile.
    """
    temporary = temporary_path(path)
    try:
        temporary.mkdir()
        yield temporary
        os.rename(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, (OSError, ValueError)):
            raise DataError(f"{printable(path)} cannot be written: {system_reason(error)}") from None
        raise
