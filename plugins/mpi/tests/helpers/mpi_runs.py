"""What the tests of several processes share."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

#: For how many seconds what should come is waited for, on a machine that does much else.
PATIENCE = 300


def until(true: Callable[[], bool]) -> None:
    """Wait until it is; what is not in time is an error."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def errors(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The errors that a run of several ranks has reported.

    The rank that is first ends the others before they say the same; where the machine is slow, one may still say it.
    """
    return {line for line in done.stderr.splitlines() if line.startswith("error:")}
