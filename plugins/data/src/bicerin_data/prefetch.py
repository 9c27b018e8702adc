"""Prefetcher: a thread that makes batches ahead of the net that uses them."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

from bicerin.errors import DataError

_log = logging.getLogger("bicerin.data")

Item = TypeVar("Item")

#: After how many seconds without a batch `get` says what it waits for; each next time after twice as long.
PATIENCE = 5.0
#: How many batches pass between two looks at whether the net mostly waits for data.
_REPORT_EVERY = 100
_STOP_WITHIN = 10.0

#: The threads that live, each with its queue. Held here, since a collected prefetcher knows its own no more.
_living: dict[threading.Thread, _Queue] = {}


class _Queue(Generic[Item]):
    """What the thread and its prefetcher share. The thread holds nothing else, so that it cannot keep a net alive."""

    def __init__(self, produce: Callable[[Item | None], Item], depth: int, most: int | None) -> None:
        self.produce = produce
        self.depth = depth
        self.most = most
        self.changed = threading.Condition()
        self.full: deque[Item] = deque()
        self.free: deque[Item] = deque()
        self.error: BaseException | None = None
        self.closed = False
        #: The one that produces.
        self.thread: threading.Thread | None = None

    def run(self) -> None:
        with self.changed:
            if self.closed or self.thread is not None:  # the start of another was interrupted, but not prevented
                return
            self.thread = threading.current_thread()
            _living[self.thread] = self
        try:
            for _ in count() if self.most is None else range(self.most):
                with self.changed:
                    while len(self.full) >= self.depth and not self.closed:
                        self.changed.wait()
                    if self.closed:
                        return
                    recycled = self.free.popleft() if self.free else None
                item = self.produce(recycled)
                with self.changed:
                    self.full.append(item)
                    self.changed.notify_all()
        except BaseException as error:
            with self.changed:
                self.error = error
                self.changed.notify_all()
        finally:
            _living.pop(threading.current_thread(), None)

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.full.clear()
            self.free.clear()
            self.changed.notify_all()


class Prefetcher(Generic[Item]):
    """Calls `produce` in a thread of its own, up to `depth` items ahead.

    The thread ends with `close`, when the prefetcher is no longer referenced, or with the process.

    Args:
        produce: makes the next item; given one that was handed to `recycle`, to use its memory again, or None. It must
            not reference the prefetcher's owner. What it raises, `get` raises.
        depth: how many items wait at most. 0 makes each item when it is asked for, without a thread.
        place: what is being read, for the log.
        name: the thread's name.
        most: how many items there are to be; None for no end. Nobody asks for more.
    """

    def __init__(
        self,
        produce: Callable[[Item | None], Item],
        depth: int,
        place: Callable[[], str],
        name: str,
        most: int | None = None,
    ) -> None:
        self._queue: _Queue[Item] = _Queue(produce, depth, most)
        self._place = place
        self._name = name
        self._started = self._waited = 0.0
        self._gotten = 0
        #: Whether a thread is still to be started.
        self._to_start = depth > 0
        if depth > 0:
            weakref.finalize(self, self._queue.close).atexit = False

    def get(self) -> Item:
        """The next item; waits until there is one, and says in the log what it waits for."""
        queue = self._queue
        if queue.depth <= 0:
            return queue.produce(queue.free.popleft() if queue.free else None)
        if self._to_start:
            # Not before: an interrupt would come between the start and the moment when somebody has this prefetcher.
            threading.Thread(target=queue.run, name=self._name, daemon=True).start()
            self._to_start = False
        begin = time.monotonic()
        patience = PATIENCE
        with queue.changed:
            while not queue.full:
                if queue.error is not None:
                    raise queue.error
                if not queue.changed.wait(patience):
                    _log.warning(
                        "%s: waiting for data since %.0f s: %s", self._name, time.monotonic() - begin, self._place()
                    )
                    patience *= 2
            item = queue.full.popleft()
            queue.changed.notify_all()
        self._account(begin, time.monotonic())
        return item

    def _account(self, begin: float, end: float) -> None:
        """Say so, from time to time, where the net spends most of its time waiting for data."""
        if not self._gotten:
            self._started, self._waited = end, 0.0
        else:
            self._waited += end - begin
        self._gotten += 1
        if self._gotten > _REPORT_EVERY:
            elapsed = end - self._started
            if self._waited > elapsed / 2:
                _log.info(
                    "%s: the net waited for data %.1f of the last %.1f s (%s).",
                    self._name, self._waited, elapsed, self._place(),
                )  # fmt: skip
            self._gotten = 0

    def recycle(self, item: Item) -> None:
        """Hand back an item that is no longer used."""
        with self._queue.changed:
            if not self._queue.closed and len(self._queue.free) <= self._queue.depth:
                self._queue.free.append(item)

    def close(self) -> None:
        """End the thread, and wait for it."""
        self._queue.close()
        thread = self._queue.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_WITHIN)


@atexit.register
def _close_all() -> None:
    """No thread may be inside a native library while the interpreter is taken down: that ends the process."""
    living = list(_living.items())
    for _, queue in living:
        queue.close()
    for thread, _ in living:
        thread.join(_STOP_WITHIN)


def _after_fork() -> None:
    """A forked process has none of the threads, and perhaps a lock that one of them held."""
    for queue in _living.values():
        queue.changed = threading.Condition()
        queue.full.clear()
        queue.error = DataError(
            "the thread that reads ahead does not survive a fork.",
            "Build the net in the process that runs it.",
        )
    _living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
