"""Choices: which of several ways to compute the same thing is the fastest on this processor, measured once.

What was measured is kept in a file, `choices.json` in the folder `bicerin` of the user's cache (`XDG_CACHE_HOME`), or
the file that `BICERIN_CHOICES` names, so that a choice stays the same from one process to the next: two ways differ in
the last bits. Of several processes that measure at the same time, as ranks do, all take what the first of them has
found. Who wants to measure anew deletes the file. One that cannot be read or written is none.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np

from bicerin.kernels.compiled import num_threads
from bicerin_proto.atomic import lock

_log = logging.getLogger("bicerin.kernels")

#: Seconds that one way is measured, after a first time that is not counted, and how often at least and at most.
_LONG_ENOUGH = 0.05
_LEAST, _MOST = 3, 8
#: Bytes that are read between two measurements: in a net, other layers' weights have been in the caches meanwhile.
_FLUSHED = 1 << 26
#: For how many seconds another process may write the file.
_PATIENCE = 1.0

_chosen: dict[str, str] = {}


def choice(
    key: str,
    ways: Mapping[str, Callable[[], Any]],
    besides: Mapping[str, Callable[[], float]] | None = None,
    factors: Mapping[str, float] | None = None,
) -> str:
    """The name of the fastest way.

    Args:
        key: what is computed: all that its speed depends on, besides the processor and the number of threads.
        ways: name -> a function that computes it that way; called several times where nothing is known yet.
        besides: name -> measures the seconds that the way costs elsewhere.
        factors: name -> how many times as long the way takes in a net as by itself, where that is known.
    """
    if len(ways) == 1:
        return next(iter(ways))
    # A way that is new is measured beside those that were known before.
    key = f"{processor()}, {num_threads()} threads: {key}: {' or '.join(ways)}"
    known = _chosen.get(key) or _file().get(key, "")
    if known not in ways:
        besides, factors = besides or {}, factors or {}
        seconds = {name: time * factors.get(name, 1.0) for name, time in race(ways).items()}
        for name, measure in besides.items():
            seconds[name] += measure()
        known = min(seconds, key=seconds.__getitem__)
        _log.info("%s: %s", key, ", ".join(f"{name} {1e6 * time:.0f} us" for name, time in seconds.items()))
        known = _record(key, known, ways)
    _chosen[key] = known
    return known


def shortest(run: Callable[[], Any]) -> float:
    """Seconds that a call takes, the least of some, each with cold caches."""
    return race({"": run})[""]


def race(ways: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds that a call of each takes, the least of some, each with cold caches.

    They take turns, since the speed of a processor drifts.
    """
    for run in ways.values():
        run()
    others = np.ones(_FLUSHED // 8, np.int64)
    least = dict.fromkeys(ways, float("inf"))
    begin = perf_counter()
    for count in range(_MOST):
        for name, run in ways.items():
            # Read, not written: what must be written back first would slow down who needs much memory.
            others.sum()
            before = perf_counter()
            run()
            least[name] = min(least[name], perf_counter() - before)
        if count + 1 >= _LEAST and perf_counter() - begin > _LONG_ENOUGH * len(ways):
            break
    return least


@cache
def processor() -> str:
    """The processor's name, as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _path() -> Path:
    named = os.environ.get("BICERIN_CHOICES")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bicerin" / "choices.json"


def _file() -> dict[str, str]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return {str(key): str(way) for key, way in found.items()} if isinstance(found, dict) else {}


def _record(key: str, way: str, ways: Collection[str]) -> str:
    """Write a choice beside those of others; gives the one that counts, since another process may have been first."""
    try:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_name(f".{path.name}.lock"), "wb") as held:
            # Nobody holds it for long; on a disk without locks a choice may be lost, and is made anew.
            until = perf_counter() + _PATIENCE
            while not lock(held) and perf_counter() < until:
                sleep(0.01)
            choices = _file()
            if choices.get(key) in ways:
                return choices[key]
            text = json.dumps({**choices, key: way}, indent=0, sort_keys=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
                file.write(text)
            os.replace(file.name, path)
    except (OSError, RuntimeError) as error:
        _log.info("the choice of the fastest way cannot be kept on disk: %s", error)
    return way
