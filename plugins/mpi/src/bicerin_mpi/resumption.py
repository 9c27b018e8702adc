"""Where a training that has failed goes on: the arguments of `bicerin train` that resume it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from bicerin.schema.installed_schema import read_solver
from bicerin.solver.snapshot_files import SnapshotFile, SnapshotFiles, snapshot_files


class Resumption:
    """The snapshots that a training leaves from now on.

    Args:
        command: `bicerin train`.
        arguments: those of the training.

    Raises:
        BicerinError: the solver cannot be read.
    """

    def __init__(self, command: click.Command, arguments: Sequence[str]) -> None:
        self._command = command
        self._arguments = list(arguments)
        params = command.make_context("train", list(arguments), resilient_parsing=True).params
        self._prefix: Path | None = None
        if params.get("solver"):
            solver = Path(params["solver"])
            param = read_solver(solver, {}).message
            if param.snapshot_prefix:
                self._prefix = SnapshotFiles(param, solver.parent).prefix()
        self._before = set(self._states())

    def _states(self) -> list[SnapshotFile]:
        return snapshot_files(self._prefix, "solverstate") if self._prefix is not None else []

    def newest(self) -> Path | None:
        """The furthest snapshot that was written since; those of earlier trainings do not count."""
        return max((state for state in self._states() if state not in self._before), default=(0, 0, None))[2]

    def arguments(self) -> list[str]:
        """The training's arguments, so that it goes on from the newest snapshot; as they were where there is none."""
        newest = self.newest()
        if newest is None:
            return self._arguments
        names = {name for param in self._command.params if param.name in ("weights", "resume") for name in param.opts}
        kept: list[str] = []
        rest = iter(self._arguments)
        for argument in rest:
            if argument == "--":
                kept += [argument, *rest]
            elif argument in names:
                next(rest, None)
            elif argument.partition("=")[0] not in names and not re.match(r"-w.", argument):
                kept.append(argument)
        return ["--resume", str(newest), *kept]
