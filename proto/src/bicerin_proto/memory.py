"""How much memory there is, so that what can never fit is refused before it is asked for."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Of a container, where it has one: version 2 and version 1 of Linux's control groups."""


@functools.cache
def machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the container that the process runs in.

    A system that promises more than it has lets an array of any size be made, and ends the process when it is filled.
    """
    found = [2**63 - 1]
    with contextlib.suppress(OSError, ValueError, AttributeError):  # not on every system
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            found.append(int(Path(limit).read_text("ascii")))
    return min(number for number in found if number > 0)
