"""A run's claim to the files of a snapshot prefix: it clears away what killed runs left, and warns of another run."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import time
import weakref
from pathlib import Path
from typing import IO

from bicerin_proto.atomic import lock, remove_leftovers
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.solver")


class SnapshotClaim:
    """Holds `.<prefix>.running` beside the snapshots, locked, as long as the claim lives or the process.

    A second run of the prefix warns, and does not stop: it may be what is wanted, and locks do not work on every disk.

    Args:
        prefix: of the snapshots' paths.
    """

    def __init__(self, prefix: Path) -> None:
        for path in remove_leftovers(prefix.parent, f"{prefix.name}_iter_"):
            _log.info("%s: removed; it was left by a run that was killed while it wrote a snapshot", printable(path))
        path = prefix.with_name(f".{prefix.name}.running")
        try:
            file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        except (OSError, ValueError):
            return  # the snapshot will say what is wrong there
        if not lock(file):
            self._warn(prefix, file)
            file.close()
            return
        with contextlib.suppress(OSError):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
            file.flush()
        weakref.finalize(self, _release, os.getpid(), path, file)

    def _warn(self, prefix: Path, file: IO[str]) -> None:
        file.seek(0)
        holder = file.read(200)
        if holder.startswith(f"process {os.getpid()} on {platform.node()},"):
            return  # a solver that this program has made before
        _log.warning(
            "another run also writes the snapshots of %s: %s. Each overwrites the other's; give one of them "
            "a different snapshot_prefix.",
            printable(prefix), printable(holder) or "its process is not known",
        )  # fmt: skip


def _release(process: int, path: Path, file: IO[str]) -> None:
    if os.getpid() == process:  # and not a fork of it
        with contextlib.suppress(OSError):
            os.unlink(path)
    with contextlib.suppress(OSError):
        file.close()
