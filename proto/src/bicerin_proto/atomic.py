"""Write a file so that a kill at any moment leaves the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from bicerin_proto.errors import ProtoError
from bicerin_proto.quotation import printable, system_reason


@contextlib.contextmanager
def atomic_write(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing (and reading); it replaces `path` when the block succeeds.

    The file has a `name`, for libraries that want to open it by themselves. A link is followed: the file that it
    points to is replaced. The mode of an existing file is kept. A device or a pipe is not replaced but written to.

    Raises:
        ProtoError: the folder is missing or not writable, the disk is full, or there can be no file of that path.
    """
    name = printable(path)
    if _is_device(path):
        with tempfile.NamedTemporaryFile() as file:
            yield cast(BinaryIO, file)
            file.seek(0)
            _copy(file, path)
        return
    try:
        final = Path(os.path.realpath(path))
        temporary = temporary_path(final)
    except ValueError as error:  # a NUL, or a character that the file system's encoding does not have
        raise ProtoError(f"{name}: cannot be the path of a file: {system_reason(error)}") from error
    try:
        with open(temporary, "xb+") as file:
            lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, final.stat().st_mode & 0o7777)
        os.replace(temporary, final)
        _sync_folder(final.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise ProtoError(f"{name}: cannot be written: {system_reason(error)}") from error
        raise


def temporary_path(path: Path) -> Path:
    """Return a free name beside `path` for what will become that file: hidden, and known to `remove_leftovers`."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def remove_leftovers(folder: str | PathLike[str], begin: str, *, whole: bool = False) -> list[Path]:
    """Remove the temporary files in a folder whose writers were killed, and return them.

    Whoever writes one holds a lock on it, which the system takes back when the process ends; on a disk that several
    machines share as well. Nothing is removed where there are no such locks, or where the process lives.

    Args:
        folder: where they may be; it need not exist.
        begin: what the names of the files that they should have become begin with.
        whole: whether `begin` is the whole name, under which no process of another machine writes: a folder is removed
            then too, though nobody holds a lock on it.
    """
    pattern = re.compile(rf"\.{re.escape(begin)}{'' if whole else '.*'}\.(\d+)\.[0-9a-f]{{8}}\.tmp")
    removed: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        for entry in os.scandir(folder):
            found = pattern.fullmatch(entry.name)
            if found is None or _lives(int(found[1])):
                continue
            if whole and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
                removed.append(Path(entry.path))
            if not entry.is_file(follow_symlinks=False):
                continue
            with contextlib.suppress(OSError), open(entry.path, "rb+") as file:
                if lock(file):
                    os.unlink(entry.path)
                    removed.append(Path(entry.path))
    return removed


def lock(file: IO[Any]) -> bool:
    """Lock an open file for as long as it is open; return False where somebody else holds it, or there are no locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def _is_device(path: str | PathLike[str]) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    # /dev/stdout may lead to a file; whoever opened that wants to go on with it.
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or os.path.abspath(path).startswith("/dev/std")


def _copy(file: IO[bytes], device: str | PathLike[str]) -> None:
    try:
        with open(device, "ab") as target:
            shutil.copyfileobj(file, target)
    except OSError as error:
        raise ProtoError(f"{printable(device)}: cannot be written: {system_reason(error)}") from error


def _sync_folder(folder: Path) -> None:
    # The new name is on the disk only when the folder is; some file systems and Windows cannot sync one.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
