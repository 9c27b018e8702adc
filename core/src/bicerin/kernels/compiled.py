"""Hot loops: functions that Numba compiles when they are first called, each with a NumPy reference of the same result.

    def clamp_reference(x, y):
        np.maximum(x, 0, out=y)

    @part
    def clamp_piece(unit, worker, x, y):
        x, y = piece(x, unit), piece(y, unit)
        for i in range(x.size):
            y[i] = max(x[i], 0)

    @kernel(reference=clamp_reference)
    def clamp(x, y):
        spread(clamp_piece, pieces(x), num_workers(x.size), (x, y))

`spread` calls a `part` for each unit of the work, here a piece of a flat array, elsewhere a row or a plane, on the
thread that is free; `num_workers` says how many threads the work is worth. Numba's `prange` works too, in kernels with
`parallel=True`, which take two to three times as long to compile.

Kernels stand in a module of their own beside the layer (`relu.py`, `relu_kernels.py`), since importing this one
imports Numba. They are compiled for the argument types of a call and kept on disk, so that the next process starts at
once. Where Numba is not installed, or `BICERIN_KERNELS=reference` asks for it, the references run: slower, with the
same result.

`BICERIN_NUM_THREADS` says how many threads kernels and BLAS use; by default, the processors the process may run on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

__all__ = [
    "COMPILED",
    "PIECE",
    "kernel",
    "num_threads",
    "num_workers",
    "part",
    "piece",
    "pieces",
    "prange",
    "spread",
    "workers_for",
]

_log = logging.getLogger("bicerin.kernels")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def num_threads() -> int:
    """How many threads kernels and BLAS may use, 1 or more."""
    setting = os.environ.get("BICERIN_NUM_THREADS", "")
    if setting.isdecimal() and int(setting) > 0:
        return int(setting)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(work: int) -> int:
    """How many threads so many elementary operations are worth, such as multiply-adds: one for less than a million.

    Waking another thread costs more than it saves there.
    """
    return 1 if work < 1 << 20 or numba is None else int(numba.get_num_threads())


numba: Any = None
prange: Any = range
if os.environ.get("BICERIN_KERNELS", "").lower() != "reference":
    _wanted = os.environ.setdefault("NUMBA_NUM_THREADS", str(num_threads()))
    try:
        import numba
    except ImportError:
        _log.info("numba is not installed: NumPy runs in place of the compiled kernels, slower")
    else:
        prange = numba.prange
        try:
            numba.config.reload_config()  # somebody may have imported it before
        except RuntimeError:
            os.environ["NUMBA_NUM_THREADS"] = str(numba.config.NUMBA_NUM_THREADS)
            _log.warning(
                "Numba runs %d threads in this process already, not %s: import bicerin before they are started.",
                numba.config.NUMBA_NUM_THREADS,
                _wanted,
            )

#: Whether kernels run compiled; False where their references do.
COMPILED: bool = numba is not None


def kernel(
    reference: Callable[..., Any] | None = None,
    *,
    parallel: bool = False,
    fastmath: Any = False,
) -> Callable[[_Function], _Function]:
    """Compile the decorated function when it is first called.

    Args:
        reference: a function of the same arguments, effect and result in NumPy, for where Numba is not. A kernel that
            only other kernels call needs none.
        parallel: whether its `prange` loops are spread over the threads.
        fastmath: True or Numba's set of flags, where a reordered sum is as good.
    """

    def decorate(function: _Function) -> _Function:
        if not COMPILED:
            return reference or function  # type: ignore[return-value]
        # Parallel for one thread too: what is kept on disk does not tell the two apart.
        compiled = numba.njit(parallel=parallel, cache=True, nogil=True, error_model="numpy", fastmath=fastmath)
        return compiled(function)

    return decorate


def part(function: Any = None, *, fastmath: Any = False) -> Any:
    """Compile the decorated function as part of the kernels that call it, or that spread it over the threads.

    It cannot be called from Python, and so compiles in less time than a kernel.
    """
    if function is None:
        return partial(part, fastmath=fastmath)
    if not COMPILED:
        return function
    return numba.njit(
        cache=True,
        nogil=True,
        error_model="numpy",
        fastmath=fastmath,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)


#: Elements of a flat array that a thread takes at a time, where the work is element by element.
PIECE = 1 << 14


@part
def piece(array: Any, unit: int) -> Any:
    """A view of PIECE elements of a flat array, fewer at its end."""
    return array[unit * PIECE : (unit + 1) * PIECE]


@part
def pieces(array: Any) -> int:
    """How many there are."""
    return -(-array.size // PIECE)


def _report_compilation() -> None:
    """Say in the log which kernel is being compiled, since the first run waits for it."""
    from numba.core import event

    class Reporter(event.Listener):
        def on_start(self, compilation: Any) -> None:
            dispatcher = compilation.data.get("dispatcher")
            name = getattr(dispatcher, "__name__", "a kernel")
            # Parts, ours and Numba's own, have names that say nothing.
            is_part = getattr(dispatcher, "targetoptions", {}).get("no_cpython_wrapper")
            if not is_part and not getattr(dispatcher, "__module__", "").startswith("numba."):
                _log.info("compiling %s (once; kept on disk)", name)

        def on_end(self, compilation: Any) -> None:
            pass

    event.register("numba:compile", Reporter())


spread: Any = None
num_workers: Any = None
if COMPILED:
    _report_compilation()
    from bicerin.kernels.threads import num_workers, spread
