"""What ranks write, line by line, each with its rank before it."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: For how many seconds what is still on its way is waited for, when all ranks have ended.
_LAST_WORDS = 2.0
#: The longest line that is held back until its end has come, in bytes.
_LONGEST = 1 << 20


class _Stream(NamedTuple):
    """One of a rank's streams: what its lines begin with, where they go, and what has come of the next one."""

    prefix: bytes
    to: int
    begun: bytearray


@contextlib.contextmanager
def rank_output(ranks: int, folder: Path) -> Iterator[None]:
    """Pass on what so many ranks write into the pipes `<rank>.out` and `<rank>.err` of a folder, which are made.

    When the block ends, the ranks have ended too.
    """
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        writers = []
        for rank in range(ranks):
            for name, to in (("out", 1), ("err", 2)):
                path = folder / f"{rank}.{name}"
                os.mkfifo(path)
                reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                stack.callback(os.close, reader)
                # While somebody could write, a pipe has no end.
                writers.append(os.open(path, os.O_WRONLY))
                selector.register(reader, selectors.EVENT_READ, _Stream(f"[{rank}] ".encode(), to, bytearray()))
        ended = threading.Event()
        thread = threading.Thread(target=_pass_on, args=(selector, ended), name="output of ranks")
        thread.start()
        try:
            yield
        finally:
            for writer in writers:
                os.close(writer)
            ended.set()
            thread.join()


def _pass_on(selector: selectors.BaseSelector, ended: threading.Event) -> None:
    until = None
    while selector.get_map():
        for key, _ in selector.select(0.2):
            data = os.read(key.fd, 1 << 16)
            stream: _Stream = key.data
            stream.begun.extend(data)
            if data:
                end = stream.begun.rfind(b"\n") + 1 or (len(stream.begun) if len(stream.begun) > _LONGEST else 0)
            else:
                end = len(stream.begun)
                selector.unregister(key.fd)
            _write(stream, end)
        if ended.is_set():
            until = until or time.monotonic() + _LAST_WORDS
            if time.monotonic() > until:
                break
    for key in selector.get_map().values():
        _write(key.data, len(key.data.begun))


def _write(stream: _Stream, end: int) -> None:
    """Pass the first bytes of what has come on, as whole lines."""
    lines = bytes(stream.begun[:end]).splitlines()
    del stream.begun[:end]
    rest = b"".join(stream.prefix + line + b"\n" for line in lines)
    with contextlib.suppress(OSError):  # who would read has gone; the ranks go on
        while rest:
            rest = rest[os.write(stream.to, rest) :]
