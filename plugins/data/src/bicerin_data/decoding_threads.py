"""The threads that decode, of which all readers of a process have the use.

With the one that reads, which decodes too where it would wait, they are as many as BICERIN_NUM_THREADS says.

OpenCV and compiled kernels leave the interpreter to others while they work.
"""

from __future__ import annotations

import atexit
import os
import threading
from abc import ABC, abstractmethod
from queue import SimpleQueue

from bicerin.errors import DataError
from bicerin.kernels import num_threads

_STOP_WITHIN = 10.0
#: Seconds. An interrupt that comes in the moment before the wait begins is seen when the wait is looked at again.
_LOOK_EVERY = 1.0


class Task(ABC):
    """What is to be done in one of the threads.

    Attributes:
        error: what `work` raised, once it is done.
        dropped: nobody wants it any more.
    """

    __slots__ = ("_begun", "_done", "dropped", "error")

    def __init__(self) -> None:
        self._begun = threading.Lock()
        self._done = threading.Lock()
        self._done.acquire()
        self.dropped = False
        self.error: BaseException | None = None

    @abstractmethod
    def work(self) -> None:
        """Do it."""

    def run(self) -> None:
        """Do it, unless it was dropped, or another thread has begun with it; what is raised is kept."""
        if not self._begun.acquire(blocking=False):
            return
        try:
            if not self.dropped:
                self.work()
        except DataError as error:
            self.error = without_frames(error)
        except BaseException as error:
            self.error = error
        finally:
            self._done.release()

    def drop(self) -> None:
        """Do not begin with it, if nobody has."""
        self.dropped = True

    @property
    def is_done(self) -> bool:
        return not self._done.locked()

    def wait(self) -> None:
        """Wait until it is done, or do it, if nobody has begun with it."""
        self.run()
        while not self._done.acquire(timeout=_LOOK_EVERY):
            pass
        self._done.release()


def without_frames(error: DataError) -> DataError:
    """The error of a record, without the frames of calls that it came through: they know the task, which knows the
    error and the batch, whose memory would wait for the collector of cycles.
    """
    error.__context__ = None
    if error.__cause__ is not None:
        error.__cause__ = error.__cause__.with_traceback(None)
    return error.with_traceback(None)


class _Threads:
    """The threads of this process, which start with the first task."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._ended = False

    def start(self, task: Task) -> None:
        if not self._threads:
            with self._starting:
                if not self._threads and not self._ended:
                    self._threads = [
                        threading.Thread(target=_work, args=(self._tasks,), name=f"decoder {index}", daemon=True)
                        for index in range(max(1, num_threads() - 1))
                    ]
                    for thread in self._threads:
                        thread.start()
        if self._ended:
            task.run()
        else:
            self._tasks.put(task)

    def end(self) -> None:
        """Let them do what they have, and end; later tasks are done by those who ask for them."""
        self._ended = True
        with self._starting:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._tasks.put(None)
        for thread in threads:
            thread.join(_STOP_WITHIN)


def _work(tasks: SimpleQueue[Task | None]) -> None:
    while (task := tasks.get()) is not None:
        task.run()
        del task  # and with it what it holds, while the thread waits for another


_threads = _Threads()


def start(task: Task) -> None:
    """Have it done in one of the threads; tasks are begun in the order in which they are started."""
    _threads.start(task)


def end_threads() -> None:
    """End them. No thread may be inside a native library while the interpreter is taken down: that ends the process."""
    _threads.end()


atexit.register(end_threads)


def _after_fork() -> None:
    """A forked process has none of the threads: it starts its own."""
    global _threads
    _threads = _Threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
