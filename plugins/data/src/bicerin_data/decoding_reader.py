"""A reader whose records are decoded ahead, in several threads, and come in their order all the same."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.kernels import num_threads
from bicerin.layer import Layer
from bicerin_data.batch_reader import Batch, RecordReader
from bicerin_data.decoding_job import Frame, Handful, Job
from bicerin_data.decoding_threads import start
from bicerin_data.recycled_memory import RecycledMemory
from bicerin_data.transformer import Transformer

#: How many handfuls each thread has before it, so that none waits for the thread that reads.
_AHEAD = 3
#: The most records of a handful, and how long one is to take, in seconds: threads that change more often hold each
#: other up, since one of them at a time runs Python's code.
_MOST_IN_HANDFUL, _HANDFUL_TAKES = 8, 2e-3
#: After so many good records in a row the next one is taken for good: see `DecodingReader`.
_CALM = 100
#: Of how many batches memory is kept that somebody may still look at.
_MOST_FREE = 2


class _EndOfReading:
    """In place of a record: what reading it raised."""

    def __init__(self, error: DataError) -> None:
        self.error = error


class DecodingReader(RecordReader):
    """Records are read one after the other; a few of them are decoded at a time, and put into their batch.

    A record's place in its batch, which says what is random in it, is guessed when it is read: as if all before it
    were good. Those that were read after a bad one are done again; those that come then are only decoded, and put into
    the batch when their turn comes, until bad ones are rare again. Where the reader stands is where it stood after the
    last record that was used, so that nobody sees how many were read ahead.
    """

    def __init__(self, layer: Layer, batch_size: int, transformer: Transformer) -> None:
        super().__init__(layer, batch_size, transformer)
        #: With one, the thread that reads decodes as well.
        self._threads = num_threads()
        #: The most records of a handful; begins with one, until it is known how long that takes.
        self._handful = 1
        #: What is filled with jobs, and not begun.
        self._open: Handful | None = None
        #: Whether records of the next batch may be in hand: not with `prefetch: 0`.
        self._beyond = self._ahead = layer.param.data_param.prefetch > 0
        self._jobs: deque[Job | _EndOfReading] = deque()
        #: Records that were read, and are to be decoded again.
        self._again: deque[Any] = deque()
        self._frames: deque[Frame] = deque()
        self._index = 0
        #: How many records were good since the last bad one.
        self._calm = _CALM
        #: The process whose threads are at work.
        self._process = os.getpid()
        #: What the next batch's images are expected to be.
        self._shape: tuple[int, ...] = (0, 0, 0)
        #: Memory of batches that the net has had.
        self._free = RecycledMemory(_MOST_FREE)

    @abstractmethod
    def next_record(self) -> Any:
        """The next record, as it is to be decoded.

        Raises:
            DataError: no more can be read.
        """

    @abstractmethod
    def decode(self, record: Any) -> tuple[np.ndarray, Any]:
        """The image of a record, (C, H, W), and its label, a number or an array; called in several threads at once.

        Raises:
            DataError: it holds no image.
        """

    @abstractmethod
    def name_of(self, record: Any) -> str:
        """What an error calls a record."""

    @abstractmethod
    def used(self, record: Any) -> None:
        """From now on the reader stands after this record."""

    @property
    def place(self) -> str:
        """What is waited for."""
        try:
            first = self._jobs[0]
        except IndexError:
            return self._place
        return self.name_of(first.record) if isinstance(first, Job) else self._place

    @place.setter
    def place(self, value: str) -> None:
        self._place = value

    def seek(self, position: Mapping[str, Any]) -> None:
        super().seek(position)
        self.forget_ahead()

    def forget_ahead(self) -> None:
        """Drop the records that were read and not used."""
        self._take_back()
        self._again.clear()
        self._frames.clear()

    def read_ahead(self, beyond: bool) -> None:
        """Whether records of the batches after the one that is read are to be decoded meanwhile."""
        self._beyond = beyond and self._ahead

    def next_image(self, wanted: int = 1) -> tuple[np.ndarray, Any, str]:
        """The next good record: its image (C, H, W), its label, and what an error calls it.

        Args:
            wanted: how many the batch still needs, this one among them.
        """
        self._look_for_fork()
        while True:
            job = self._next(wanted, in_frames=False)
            if job.error is None:
                assert job.image is not None
                return job.image, job.label, self.name_of(job.record)
            self._refuse(job, job.error)

    def read(self, recycled: Batch | None) -> Batch:
        """The next batch. Its shape is that of its first record: only if cropped may records of a batch differ."""
        self._look_for_fork()
        before = self.position()
        if recycled is not None:
            self._free.put(recycled.give_up())
        try:
            frame = self._filled()
        except BaseException as error:
            # Nobody waits for what is at work, which may be what hangs; it keeps the memory that it writes to.
            self._take_back()
            self._frames.clear()
            if not isinstance(error, Exception):
                # An interrupt, which may have come at any point: the batch is begun anew.
                self.seek(before)
            raise
        self._frames.popleft()
        self.number += 1
        return Batch(frame.data, frame.label, self.position(), frame.memory)

    def _filled(self) -> Frame:
        """The frame of the next batch, with all of its images in it."""
        if not self._frames:
            self._begin_frame(self.number)
        frame = self._frames[0]
        filled = 0
        while filled < self.batch_size:
            job = self._next(self.batch_size - filled, in_frames=True)
            error = job.error
            if error is None and job.shape != frame.data.shape[1:]:
                if filled:
                    shape = frame.data.shape[1:]
                    error = DataError(f"its shape is {job.shape}, but that of the batch's first record is {shape}.")
                else:
                    self._shape = job.shape
                    frame.memory = self._batch_memory()
                    frame.data = frame.memory.reshape(self.batch_size, *self._shape)
            if error is None and filled and _shape_of(job.label) != frame.label.shape[1:]:
                shape = frame.label.shape[1:]
                error = DataError(f"its labels have the shape {_shape_of(job.label)}, and the batch's first {shape}.")
            if error is None and job.placed is None:
                error = job.place(frame, filled)
            if error is not None:
                self._refuse(job, error)
                self._move_up(filled)
                continue
            if not filled:
                frame.label = np.empty((self.batch_size, *_shape_of(job.label)), self.dtype)
            frame.label[filled] = job.label
            filled += 1
            self._calm += 1
            self.bad.good()
        return frame

    def _look_for_fork(self) -> None:
        """Do again what threads were at work with that this process does not have."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._take_back()
            self._frames.clear()

    def _refuse(self, job: Job, error: BaseException) -> None:
        """Raise the error, or count the record among the bad ones."""
        if not isinstance(error, DataError):
            raise error
        self.bad.refuse(self.name_of(job.record), error)

    def _next(self, wanted: int, in_frames: bool) -> Job:
        """The next record, decoded; others are begun with meanwhile."""
        jobs = self._jobs
        if self._threads == 1:
            most = handful = 1
        else:
            most = _AHEAD * self._threads * self._handful
            if not self._beyond:
                most = min(most, wanted)
            handful = min(self._handful, -(-most // self._threads))
        if not jobs or len(jobs) + handful <= most:
            while len(jobs) < most and not (jobs and isinstance(jobs[-1], _EndOfReading)):
                self._begin(in_frames, handful)
        job = jobs[0]
        if isinstance(job, _EndOfReading):
            jobs.popleft()
            raise job.error
        if job.handful is self._open:
            self._start()
        for other in jobs:
            if job.handful.is_done:
                break
            if isinstance(other, Job) and other.handful is not self._open:
                other.handful.run()
                self._raise_interrupt(other.handful)
        job.handful.wait()
        self._raise_interrupt(job.handful)
        jobs.popleft()
        self._handful = max(1, min(_MOST_IN_HANDFUL, round(_HANDFUL_TAKES / job.handful.takes)))
        self.used(job.record)
        return job

    @staticmethod
    def _raise_interrupt(handful: Handful) -> None:
        """Raise what ended its work before it was done: not the error of a record."""
        if handful.error is not None:
            raise handful.error

    def _begin(self, in_frames: bool, handful: int) -> None:
        """Read a record, or take one that was read, and have it decoded, once so many are to be decoded together."""
        record: Any
        if self._again:
            record = self._again.popleft()
        else:
            try:
                record = self.next_record()
            except DataError as error:
                record = _EndOfReading(error)
        if isinstance(record, _EndOfReading):
            self._jobs.append(record)
            return
        frame = None
        if in_frames:
            if self._index == self.batch_size:
                self._begin_frame(self._frames[-1].number + 1 if self._frames else self.number)
            frame = self._frames[-1]
        if self._open is None:
            self._open = Handful()
        job = Job(self, record, frame if self._calm >= _CALM else None, self._index, in_frames, self._open)
        self._index += 1
        self._open.jobs.append(job)
        self._jobs.append(job)
        if len(self._open.jobs) >= handful:
            self._start()

    def _start(self) -> None:
        """Have the handful decoded that was being filled."""
        handful, self._open = self._open, None
        if handful is None:
            return
        if self._threads == 1:
            handful.run()
        else:
            start(handful)

    def _move_up(self, filled: int) -> None:
        """A record was bad: those that were read after it move up by one place. So many images are in theirs.

        What was put into a batch is decoded again.
        """
        self._calm = 0
        if any(isinstance(job, Job) and job.frame is not None for job in self._jobs):
            for handful in self._take_back():
                handful.wait()
        place = filled + sum(isinstance(job, Job) for job in self._jobs)
        last = max(0, place - 1) // self.batch_size
        while len(self._frames) > last + 1:
            self._free.put(self._frames.pop().memory)
        self._index = place - last * self.batch_size

    def _take_back(self) -> list[Handful]:
        """Have the records that are in hand read again next; returns what may still be at work with them."""
        handfuls = [job.handful for job in self._jobs if isinstance(job, Job)]
        for handful in handfuls:
            handful.drop()
        self._again.extendleft(job.record if isinstance(job, Job) else job for job in reversed(self._jobs))
        self._jobs.clear()
        self._open = None
        return handfuls

    def _begin_frame(self, number: int) -> None:
        draws = self.transformer.draw(self.random(0, number), self.batch_size)
        self._frames.append(Frame(number, draws, self._batch_memory(), (self.batch_size, *self._shape)))
        self._index = 0

    def _batch_memory(self) -> np.ndarray:
        """Memory for the images of a batch, flat: of one that nobody looks at any more, or new."""
        return self._free.take(self.batch_size * prod(self._shape), self.dtype)


def _shape_of(label: Any) -> tuple[int, ...]:
    """Of an array; a number has none."""
    shape: tuple[int, ...] = getattr(label, "shape", ())
    return shape
