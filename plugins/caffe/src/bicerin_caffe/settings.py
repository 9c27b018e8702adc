"""What pycaffe keeps for the whole process: the mode, the device, the random seed, the place among several solvers.

A net is bound to the device that is set when it is made.
"""

from __future__ import annotations

import itertools
import logging
import weakref
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bicerin.device import get_device
from bicerin.errors import DeviceError, PluginError

_log = logging.getLogger("bicerin.caffe")


@dataclass
class _Settings:
    gpu: bool = False
    device_id: int = 0
    seeds: np.random.SeedSequence | None = None
    solver_count: int = 1
    solver_rank: int = 0
    multiprocess: bool = False


_settings = _Settings()
#: The nets there are, each with its number.
_nets: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
_numbers = itertools.count()


def set_mode_cpu() -> None:
    """Make nets for the CPU from now on."""
    _settings.gpu = False


def set_mode_gpu() -> None:
    """Make nets for the GPU from now on. Where there is none, they stay on the CPU, with a warning."""
    _settings.gpu = True


def set_device(device_id: int) -> None:
    """Which GPU the nets that are made from now on run on, in the mode GPU."""
    _settings.device_id = int(device_id)


def device() -> str:
    """The device of a net that is made now."""
    return gpu_or_cpu(_settings.device_id) if _settings.gpu else "cpu"


def gpu_or_cpu(device_id: int) -> str:
    """The GPU of this number; the CPU, with a warning, where there is no GPU at all."""
    try:
        get_device("gpu")
    except (DeviceError, PluginError) as error:
        _warn_of_missing_gpu(str(error))
        return "cpu"
    return f"gpu:{device_id}"


@lru_cache(maxsize=1)
def _warn_of_missing_gpu(reason: str) -> None:
    """Say so once."""
    _log.warning("a GPU was asked for, but there is none: nets run on the CPU. %s", reason)


def set_random_seed(seed: int) -> None:
    """Let all randomness follow from this seed: that of the nets there are, and of those that are made later."""
    entropy = int(seed) % 2**64
    _settings.seeds = np.random.SeedSequence(entropy)
    for net, number in list(_nets.items()):
        # By the net's own number: which others are still there is the garbage collector's affair.
        net.seed(_seed_of(np.random.SeedSequence(entropy, spawn_key=(0, number))))


def next_seed() -> int | None:
    """The seed of the next net or solver; None where none was set."""
    if _settings.seeds is None:
        return None
    return _seed_of(_settings.seeds.spawn(1)[0])


def _seed_of(sequence: np.random.SeedSequence) -> int:
    # A solver's random_seed is an int64, and negative ones mean none.
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def follow_seed(net: Any) -> None:
    """Let a net be among those that `set_random_seed` seeds anew."""
    _nets.setdefault(net, next(_numbers))


def place() -> dict[str, Any]:
    """Where a net or solver that is made now stands among those that train together."""
    return {"rank": _settings.solver_rank, "replicas": max(_settings.solver_count, _settings.solver_rank + 1)}


def solver_count() -> int:
    """How many solvers train together."""
    return _settings.solver_count


def set_solver_count(count: int) -> None:
    """Let the data layers of the nets that are made from now on leave records to so many solvers."""
    _settings.solver_count = int(count)


def solver_rank() -> int:
    """Which of them this process's is."""
    return _settings.solver_rank


def set_solver_rank(rank: int) -> None:
    """Which of them; 0 is the one that tests and snapshots. What brings the gradients together is a callback."""
    _settings.solver_rank = int(rank)


def set_multiprocess(multiprocess: bool) -> None:
    """Whether the solvers that train together are processes."""
    _settings.multiprocess = bool(multiprocess)
