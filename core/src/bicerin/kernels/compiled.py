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
thread that is free; `num_workers` says how many threads the work is worth.

Kernels stand in a module of their own beside the layer (`relu.py`, `relu_kernels.py`), since importing this one
imports Numba. They are compiled for the argument types of a call and kept on disk, so that the next process starts at
once; what goes into a kernel is compared first (`sources`).

There are three ways to run, and a line in the log says which where it is not the first:

- with the inner parts of Numba (`numba_internals`), kernels use all threads, and products of matrices have panels;
- with Numba, but a version of which these parts are not known, kernels run on one thread, and products are NumPy's;
- without Numba, or with `BICERIN_KERNELS=reference`, the references run: slower, with the same result.

`BICERIN_NUM_THREADS` says how many threads kernels and BLAS use; by default, the processors the process may run on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar, cast

from bicerin.kernels.sources import stamp

__all__ = [
    "COMPILED",
    "PIECE",
    "WITH_PANELS",
    "kernel",
    "num_threads",
    "num_workers",
    "part",
    "piece",
    "pieces",
    "spread",
    "workers_for",
]

_log = logging.getLogger("bicerin.kernels")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def num_threads() -> int:
    """How many threads kernels and BLAS may use, 1 or more."""
    setting = os.environ.get("BICERIN_NUM_THREADS", "")
    if _is_number_of_threads(setting):
        return int(setting)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_number_of_threads(setting: str) -> bool:
    return setting.isdecimal() and int(setting) > 0


def workers_for(work: int) -> int:
    """How many threads so many elementary operations are worth, such as multiply-adds: one for less than a million.

    Waking another thread costs more than it saves there.
    """
    return 1 if work < 1 << 20 or internals is None or threads.is_alone() else int(numba.get_num_threads())


def _warn_of_invalid_settings() -> None:
    """Warn of an invalid setting in the environment, which leaves the default."""
    kernels, number = os.environ.get("BICERIN_KERNELS", ""), os.environ.get("BICERIN_NUM_THREADS", "")
    if kernels.lower() not in ("", "reference"):
        _log.warning('BICERIN_KERNELS is %r; it must be "reference" or empty. Kernels are compiled.', kernels)
    if number and not _is_number_of_threads(number):
        _log.warning(
            "BICERIN_NUM_THREADS is %r; it must be a whole number, 1 or more. %d threads are used.",
            number,
            num_threads(),
        )


_warn_of_invalid_settings()
numba: Any = None
internals: Any = None
if os.environ.get("BICERIN_KERNELS", "").lower() != "reference":
    _wanted = os.environ.setdefault("NUMBA_NUM_THREADS", str(num_threads()))
    try:
        import llvmlite
        import numba
    except ImportError as error:
        _log.info("Numba cannot be imported (%s): NumPy replaces the compiled kernels, which is slower.", error)
    else:
        try:
            from bicerin.kernels import numba_internals as internals
        except (ImportError, AttributeError) as error:
            _log.warning(
                "Numba's internals cannot be used (%s): kernels run on one thread, and NumPy multiplies matrices.",
                error,
            )

#: Whether kernels run compiled; False where their references do.
COMPILED: bool = numba is not None
#: Whether `bicerin.kernels.panel` can be imported, and kernels that need it run.
WITH_PANELS: bool = internals is not None

if WITH_PANELS:
    if not internals.read_settings():
        _log.warning(
            "Numba already runs %d threads in this process, not %s: import bicerin before they start.",
            numba.config.NUMBA_NUM_THREADS,
            _wanted,
        )
    internals.on_compilation(partial(_log.info, "compiling %s (once; kept on disk)"))


def kernel(
    reference: Callable[..., Any] | None = None, *, fastmath: Any = False, text: str = ""
) -> Callable[[_Function], _Function]:
    """Compile the decorated function when it is first called.

    Args:
        reference: a function of the same arguments, effect and result in NumPy, for where Numba is not. A kernel that
            only other kernels call needs none.
        fastmath: True or Numba's set of flags, where a reordered sum is as good.
        text: the function's source, where it does not stand in its file.
    """

    def decorate(function: _Function) -> _Function:
        if not COMPILED:
            return cast(_Function, reference or function)
        return _compiled(function, text, fastmath=fastmath)

    return decorate


def part(function: Any = None, *, fastmath: Any = False, text: str = "", inline: bool = False) -> Any:
    """Compile the decorated function as part of the kernels that call it, or that spread it over the threads.

    It cannot be called from Python, and so compiles in less time than a kernel.
    """
    if function is None:
        return partial(part, fastmath=fastmath, text=text, inline=inline)
    if not COMPILED:
        return function
    options = {"inline": "always"} if inline else {}
    return _compiled(function, text, fastmath=fastmath, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


@cache
def _cannot_keep(place: str) -> None:
    """Say so once for all kernels of a package."""
    _log.warning(
        "The kernels of %s are compiled in each process: there is no writable folder to keep them in. Set "
        "NUMBA_CACHE_DIR to one.",
        place,
    )


def _compiled(function: Any, text: str, **options: Any) -> Any:
    """What Numba makes of the function, kept on disk with a stamp of all that goes into it."""
    options = {"nogil": True, "error_model": "numpy", **options}
    found = stamp(function, text, numba.__version__, llvmlite.__version__, f"panels: {WITH_PANELS}")
    if found is None:
        return numba.njit(**options)(function)  # such as one that is written at the prompt
    if not WITH_PANELS:
        # Numba names the file after the function. It is all that can be said without `set_stamp`; old files stay.
        function.__qualname__ += f"-{found[:16]}"
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        _cannot_keep(os.path.dirname(function.__code__.co_filename))
        return numba.njit(**options)(function)
    if WITH_PANELS:
        internals.set_stamp(compiled, found)
    return compiled


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


threads: Any = None
spread: Any = None
num_workers: Any = None
if WITH_PANELS:
    from bicerin.kernels import threads
    from bicerin.kernels.threads import num_workers, spread
elif COMPILED:

    @partial(part, inline=True)  # since a kernel that hands on a function cannot be kept on disk
    def spread(body: Any, units: int, workers: int, arguments: Any) -> None:
        """The units one after another, on the caller's thread."""
        for unit in range(units):
            body(unit, 0, *arguments)

    @part
    def num_workers(elements: int) -> int:
        """One."""
        return 1
