"""Jobs: records that become images of a batch, some of them in one thread at a time."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np

from bicerin.errors import DataError
from bicerin_data.decoding_threads import Task, without_frames
from bicerin_data.transformer import Draws, Transformer

#: Seconds that no clock tells apart.
_CLOCK = 1e-9


class Decoder(Protocol):
    """Whose records they are: a `DecodingReader`."""

    transformer: Transformer

    def decode(self, record: Any) -> tuple[np.ndarray, Any]:
        """The image of a record, (C, H, W), and its label; raises a DataError where it holds none."""


class Frame:
    """A batch that is being made: its number, its memory, and what is random in it."""

    __slots__ = ("data", "draws", "label", "memory", "number")

    def __init__(self, number: int, draws: Draws, memory: np.ndarray, shape: tuple[int, ...]) -> None:
        self.number = number
        self.draws = draws
        #: As many labels as images, of the shape of the first image's, which is not known yet.
        self.label = memory[:0]
        self.memory = memory
        self.data = memory.reshape(shape)


class Job:
    """A record that becomes an image.

    Attributes:
        record: as `next_record` gave it.
        frame: the batch that its image is to be put into, as number `index`; without one, it is only decoded.
        in_batch: whether it is for a batch at all, and its shape of interest.
        image: the image (C, H, W), unless it was put into a batch: then `placed` is the batch's array.
        shape: the image's, transformed, if it is for a batch.
        label: what `decode` gave with the image.
        error: what was raised instead.
        handful: with which others it is done.
    """

    __slots__ = (
        "_reader", "error", "frame", "handful", "image", "in_batch", "index", "label", "placed", "record", "shape",
    )  # fmt: skip

    def __init__(
        self, reader: Decoder, record: Any, frame: Frame | None, index: int, in_batch: bool, handful: Handful
    ) -> None:
        self._reader = reader
        self.in_batch = in_batch
        self.handful = handful
        self.error: BaseException | None = None
        self.record = record
        self.frame = frame
        self.index = index
        self.image: np.ndarray | None = None
        self.placed: np.ndarray | None = None
        self.shape: tuple[int, ...] = ()
        self.label: Any = None

    def run(self) -> None:
        """Decode it; an interrupt is not the record's error."""
        try:
            self._run()
        except DataError as error:
            self.error = without_frames(error)
        except Exception as error:
            self.error = error

    def _run(self) -> None:
        image, self.label = self._reader.decode(self.record)
        transformer, frame = self._reader.transformer, self.frame
        if self.in_batch:
            self.shape = transformer.output_shape(image.shape)
        if frame is not None and frame.data.shape[1:] == self.shape:
            # At once, by the thread that has the image in its cache, and its memory for the next one.
            data = frame.data
            transformer.place(image, frame.draws, self.index, data[self.index])
            self.placed = data
        else:
            self.image = image

    def place(self, frame: Frame, index: int) -> DataError | None:
        """Put the image into the batch now; returns what is wrong with it."""
        assert self.image is not None
        try:
            self._reader.transformer.place(self.image, frame.draws, index, frame.data[index])
        except DataError as error:
            return error
        self.placed = frame.data
        return None


class Handful(Task):
    """Some jobs that one thread does, one after the other.

    Attributes:
        jobs: what is left to do.
        takes: how many seconds one of them took, once all are done.
    """

    __slots__ = ("jobs", "takes")

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.takes = 0.0

    def drop(self) -> None:
        super().drop()
        self.jobs = []

    def work(self) -> None:
        # Jobs know their handful; it forgets them, so that nothing keeps a batch's memory when the last of them goes.
        jobs, self.jobs = self.jobs, []
        begin = time.perf_counter()
        for job in jobs:
            if self.dropped:
                return
            job.run()
        self.takes = max(time.perf_counter() - begin, _CLOCK) / len(jobs)
