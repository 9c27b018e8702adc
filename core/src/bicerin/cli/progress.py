"""Progress bars on standard error, where it is a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    track,
)
from rich.text import Text

from bicerin.cli.messages import is_quiet
from bicerin.cli.pace import images_per_step
from bicerin.net.hooks import hookimpl, plugins
from bicerin_proto.quotation import printable

_Item = TypeVar("_Item")


def wanted() -> bool:
    """Whether there is a terminal to draw on, and the user wants to be told."""
    return sys.stderr.isatty() and not is_quiet()


def counted(items: Sequence[_Item], description: str) -> Iterable[_Item]:
    """The items, with a bar that counts them where one is wanted."""
    if not wanted():
        return items
    return track(items, description, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def training_bar() -> Iterator[None]:
    """Show a bar for the solver that runs within the block, where one is wanted."""
    if not wanted():
        yield
        return
    bar = TrainingBar()
    plugins().register(bar)
    try:
        yield
    finally:
        plugins().unregister(bar)


class TrainingBar:
    """Hook implementations that draw iteration, loss, learning rate, images per second and the time left."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}", markup=False),
            _ImagesPerSecond(),
            TimeRemainingColumn(elapsed_when_finished=True, compact=True),
            console=Console(stderr=True),
            expand=True,
        )
        self._task = TaskID(0)

    @hookimpl
    def bicerin_solver_start(self, solver: Any) -> None:
        self._task = self._progress.add_task(
            printable(solver.net.name, 40) or "training",
            total=solver.param.max_iter,
            completed=solver.iteration,
            images=images_per_step(solver),
            numbers="",
        )
        self._progress.start()

    @hookimpl
    def bicerin_solver_step(self, solver: Any, loss: float) -> None:
        numbers = f"loss {solver.loss:.4g} lr {solver.learning_rate:.3g}"
        self._progress.update(self._task, completed=solver.iteration, numbers=numbers)

    @hookimpl
    def bicerin_solver_stop(self, solver: Any) -> None:
        self._progress.stop()


class _ImagesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = (task.finished_speed or task.speed or 0) * task.fields["images"]
        return Text(f"{speed:.0f} img/s" if speed else "")
