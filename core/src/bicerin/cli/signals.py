"""Signals while a solver runs: snapshot, stop, or both, between two iterations.

SIGTERM, which schedulers send before they kill, snapshots and stops.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

#: Effect -> whether it snapshots, and whether it stops.
EFFECTS = {
    "snapshot-and-stop": (True, True),
    "snapshot": (True, False),
    "stop": (False, True),
    "none": (False, False),
}


@contextlib.contextmanager
def signals_obeyed(solver: Any, sigint_effect: str, sighup_effect: str) -> Iterator[list[int]]:
    """Let SIGINT and SIGHUP have these effects on the solver while the block runs; gives the signals that came.

    The second SIGINT that stops is a KeyboardInterrupt, for who does not want to wait.
    """
    effects = {signal.SIGINT: sigint_effect, signal.SIGTERM: "snapshot-and-stop"}
    if hasattr(signal, "SIGHUP"):
        effects[signal.SIGHUP] = sighup_effect
    stopping = False
    came: list[int] = []

    def obey(number: int, frame: Any) -> None:
        nonlocal stopping
        snapshot, stop = EFFECTS[effects[signal.Signals(number)]]
        if stop and stopping:
            raise KeyboardInterrupt
        _say(signal.Signals(number), snapshot, stop)
        came.append(number)
        if snapshot:
            solver.request_snapshot()
        if stop:
            stopping = True
            solver.request_stop()

    before = {number: signal.signal(number, obey) for number in effects}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(number: signal.Signals, snapshot: bool, stop: bool) -> None:
    what = " and ".join(word for word, wanted in (("snapshot", snapshot), ("stop", stop)) if wanted)
    again = "; once more to end at once" if stop and number == signal.SIGINT else ""
    text = f"{number.name}: {what} after this iteration{again}\n" if what else f"{number.name}: ignored\n"
    # Neither logging nor print: they may be what the signal has interrupted, and cannot be entered twice.
    with contextlib.suppress(OSError):
        os.write(2, ("\n" + text if sys.stderr.isatty() else text).encode())
