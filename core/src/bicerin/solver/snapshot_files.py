"""Where a solver's snapshots lie."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bicerin.errors import SnapshotError
from bicerin_proto.quotation import printable, system_reason


class SnapshotFile(NamedTuple):
    """A file that a snapshot has left.

    Attributes:
        iteration: the number that its name ends with.
        written: when it was written last, in nanoseconds.
        path: where it is.
    """

    iteration: int
    written: int
    path: Path


def snapshot_files(prefix: Path, kind: Literal["caffemodel", "solverstate"]) -> list[SnapshotFile]:
    """The weights or the states that lie at a prefix, of whichever training; none where there is no such folder."""
    pattern = re.compile(rf"{re.escape(prefix.name)}_iter_(\d+)\.{kind}(?:\.h5)?")
    found = []
    with contextlib.suppress(OSError):
        for path in prefix.parent.iterdir():
            match = pattern.fullmatch(path.name)
            if match is not None:
                with contextlib.suppress(FileNotFoundError):  # it has just been removed
                    found.append(SnapshotFile(int(match[1]), path.stat().st_mtime_ns, path))
    return found


class SnapshotFiles:
    """The files of snapshots: `<snapshot_prefix>_iter_<iteration>.caffemodel` and `.solverstate`, both `.h5` for HDF5.

    Args:
        param: the SolverParameter.
        directory: of its file. A prefix whose folder is not there is looked for beside that.
    """

    def __init__(self, param: Any, directory: Path | None) -> None:
        self._param = param
        self._directory = directory

    @property
    def hdf5(self) -> bool:
        return bool(self._param.snapshot_format == self._param.HDF5)

    def of(self, iteration: int) -> tuple[Path, Path]:
        """The weights and the state.

        Raises:
            SnapshotError: there is no prefix.
        """
        prefix, ending = self.prefix(), ".h5" if self.hdf5 else ""
        name = f"{prefix.name}_iter_{iteration}"
        return prefix.with_name(f"{name}.caffemodel{ending}"), prefix.with_name(f"{name}.solverstate{ending}")

    def check(self) -> None:
        """Raise a `SnapshotError` unless files can be written there."""
        try:
            with tempfile.TemporaryFile(dir=self.prefix().parent):
                pass
        except (OSError, ValueError) as error:
            raise SnapshotError(
                f"Cannot write to snapshot prefix '{printable(self._param.snapshot_prefix)}'. Make sure that the "
                f"directory exists and is writable: {system_reason(error)}."
            ) from error

    def prefix(self) -> Path:
        """What the files' paths begin with.

        Raises:
            SnapshotError: there is none.
        """
        prefix = self._param.snapshot_prefix
        if not prefix:
            raise SnapshotError("In solver params, snapshot is specified but snapshot_prefix is not.")
        path = Path(prefix)
        if not path.is_absolute() and self._directory is not None and not os.path.isdir(path.parent):
            beside = self._directory / path
            if os.path.isdir(beside.parent):
                return beside
        return path


def weights_of_state(named: str, state: Path) -> Path:
    """The weights that a state names: beside it, since both may have been moved, or at the path that it names.

    Raises:
        SnapshotError: neither is there.
    """
    for path in (state.parent / Path(named).name, Path(named)):
        if os.path.isfile(path):
            return path
    raise SnapshotError(
        f"{state}: its weights are missing: neither {state.parent / Path(named).name} nor {named} exists."
    )
