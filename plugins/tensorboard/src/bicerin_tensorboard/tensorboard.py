"""Hooks that write what TensorBoard shows of a training.

The messages are made by tensorboardX and written by its `EventsWriter`, one after the other. Its `SummaryWriter` would
write in a thread that ends when the disk is full, and the training would wait for it for ever.
"""

from __future__ import annotations

import logging
import os
import time
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from bicerin.cli.pace import images_per_step
from bicerin.errors import BicerinError
from bicerin.net.hooks import hookimpl
from bicerin.net.picture import grid, is_image, pixels
from bicerin_proto.quotation import printable, system_reason
from bicerin_tensorboard.graph import graph_of

_log = logging.getLogger("bicerin.tensorboard")

#: A test's output with more elements than these is a histogram and not as many scalars.
_MOST_SCALARS = 32
_MOST_IMAGES = 16
_BINS = 64


class TensorBoard:
    """Hook implementations that write an event file, for `Solver(..., hooks=[TensorBoard("runs/first")])`.

    - scalars: loss, learning rate, images a second, the outputs of each test;
    - histograms: weights and their last updates, of each layer;
    - images: the first layer's filters, and images of the batch, as the net reads them;
    - the train net as a graph, and the snapshots' paths as text.

    A solver that goes on from a snapshot into the same folder takes the place of what was written after that.

    Args:
        directory: where to write; it is made where it is not there.
        scalars: every how many iterations loss, learning rate and speed are written; by default what the solver's
            `display` says, or each.
        histograms: every how many iterations histograms and images are written; by default fifty times up to the
            solver's `max_iter`. 0 for none.

    Raises:
        BicerinError: the folder cannot be written.
    """

    def __init__(self, directory: str | PathLike[str], scalars: int | None = None, histograms: int | None = None):
        self.directory = Path(directory)
        self._scalars, self._histograms = scalars, histograms
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from error
        if not os.access(self.directory, os.W_OK):
            raise BicerinError(f"{printable(self.directory)}: cannot be written: the folder is read-only")
        self._writer: EventsWriter | None = None
        self._failed = False
        self._since, self._iteration = 0.0, 0

    def _unwritable(self, error: Exception) -> BicerinError:
        return BicerinError(f"{printable(self.directory)}: cannot be written: {system_reason(error)}")

    # Hooks

    @hookimpl
    def bicerin_solver_start(self, solver: Any) -> None:
        self._since, self._iteration = time.perf_counter(), solver.iteration
        self._rate = solver.learning_rate
        if self._writer is not None or self._failed:
            return
        try:
            # Files are named after a second, in which two may begin, and are read in the order of their names.
            self._writer = EventsWriter(os.fspath(self.directory / "events"), f".{time.time_ns()}.{os.getpid()}")
        except OSError as error:
            raise self._unwritable(error) from error
        if solver.iteration:
            self._write(solver, session_log=SessionLog(status=SessionLog.START))
        self._write(solver, graph_def=graph_of(solver.net).SerializeToString())
        self._flush()

    @hookimpl
    def bicerin_solver_step(self, solver: Any, loss: float) -> None:
        every = self._scalars if self._scalars is not None else max(1, solver.param.display)
        if every > 0 and solver.iteration % every == 0:
            now = time.perf_counter()
            steps = solver.iteration - self._iteration
            self._scalar(solver, "train/loss", solver.loss)
            self._scalar(solver, "train/learning_rate", self._rate)
            images = images_per_step(solver)
            if images and now > self._since:
                self._scalar(solver, "train/images_per_second", images * steps / (now - self._since))
            self._since, self._iteration = now, solver.iteration
        self._rate = solver.learning_rate
        every = self._histograms if self._histograms is not None else max(1, solver.param.max_iter // 50)
        if every > 0 and solver.iteration % every == 0:
            self._weights(solver)
            self._images(solver)
            self._flush()

    @hookimpl
    def bicerin_test_result(self, solver: Any, net_index: int, results: dict[str, Any]) -> None:
        folder = f"test_{net_index}" if len(solver.test_nets) > 1 else "test"
        for name, value in results.items():
            values = np.asarray(value).reshape(-1)
            if values.size == 1:
                self._scalar(solver, f"{folder}/{name}", float(values[0]))
            elif values.size <= _MOST_SCALARS:
                for index, one in enumerate(values.tolist()):
                    self._scalar(solver, f"{folder}/{name}/{index}", one)
            else:
                self._histogram(solver, f"{folder}/{name}", values)
        self._flush()

    @hookimpl
    def bicerin_snapshot(self, solver: Any, path: Path) -> None:
        self._write(solver, summary=summary.text("snapshot", printable(path)))

    @hookimpl
    def bicerin_solver_stop(self, solver: Any) -> None:
        self._flush()

    # What is written

    def _weights(self, solver: Any) -> None:
        for name, blobs in solver.net.params.items():
            for position, blob in enumerate(blobs):
                if solver.net.owns(blob):
                    self._histogram(solver, f"weights/{name}/{position}", blob.read_only.data)
                    self._histogram(solver, f"updates/{name}/{position}", blob.read_only.diff)

    def _images(self, solver: Any) -> None:
        net = solver.net
        filters = next((node.blobs[0] for node in net.nodes if node.blobs and is_image(node.blobs[0].shape)), None)
        if filters is not None:
            self._picture(solver, "first_filters", grid(pixels(filters.read_only.data, symmetric=True)))
        for node in net.nodes:
            if not node.bottom and node.top and is_image(node.top[0].shape):
                batch = node.top[0].read_only.data[:_MOST_IMAGES]
                self._picture(solver, f"batch/{node.top_names[0]}", grid(pixels(batch)))

    def _scalar(self, solver: Any, tag: str, value: float) -> None:
        self._write(solver, summary=summary.scalar(tag, value))

    def _histogram(self, solver: Any, tag: str, values: np.ndarray) -> None:
        finite = values[np.isfinite(values)]
        if finite.size:  # of weights that diverged nothing may be left; the loss says so
            self._write(solver, summary=summary.histogram(tag, finite, _BINS))

    def _picture(self, solver: Any, tag: str, picture: np.ndarray) -> None:
        self._write(solver, summary=summary.image(tag, picture, dataformats="HWC"))

    def _write(self, solver: Any, **content: Any) -> None:
        if self._failed or self._writer is None:
            return
        try:
            self._writer.write_event(Event(wall_time=time.time(), step=solver.iteration, **content))
        except OSError as error:
            self._give_up(error)

    def _flush(self) -> None:
        if self._failed or self._writer is None:
            return
        try:
            self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._failed = True
        _log.warning(
            "%s: can no longer be written: %s. Training goes on without TensorBoard.",
            printable(self.directory), system_reason(error),
        )  # fmt: skip
