"""What is used of Numba and llvmlite beyond what they promise to keep: all of it is in this file.

Elsewhere kernels are made with what `numba` itself and `numba.extending` document. Where this file cannot be imported,
since a name is missing or Numba is not among the versions that it was tried with, kernels are compiled without it: they
run on one thread, and products of matrices are NumPy's.

context     Numba's generator of code for the processor: it knows how each type lies in memory
builder     llvmlite's writer of LLVM's instructions, at one place of one function
intrinsic   a function that writes its instructions itself, where a kernel calls it
dispatcher  what `njit` makes of a function: it compiles it for the types of a call's arguments
overload    what a dispatcher has compiled for some types
slot        a place on the stack
layer       what Numba starts threads with: "tbb", "omp" or "workqueue", whichever is installed, in this order
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils, event, types
from numba.core.base import BaseContext
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.callconv import CPUCallConv
from numba.core.registry import cpu_target
from numba.extending import intrinsic as numba_intrinsic
from numba.np.ufunc import parallel

__all__ = [
    "BYTES",
    "FEATURES",
    "TRIED",
    "add_symbol",
    "borrowed",
    "call",
    "compiled_for",
    "declared",
    "element",
    "field",
    "for_range",
    "get_num_threads",
    "intrinsic",
    "ir",
    "is_true",
    "nothing",
    "on_compilation",
    "raise_memory_error",
    "read_settings",
    "set_stamp",
    "slot",
    "start",
    "start_threads",
    "types",
    "unlikely",
    "unpacked",
    "value_type",
]

#: The first and the last Numba that all this was tried with. The extra `fast` of the distribution has the same bounds.
TRIED = ((0, 61), (0, 68))


def _check() -> None:
    """Raise an ImportError where Numba is another one, an AttributeError where something is missing that is used later.

    What is used when a kernel is compiled or loaded is looked at here, while there is still another way.
    """
    version = tuple(int(number) for number in numba.__version__.split(".")[:2])
    if not TRIED[0] <= version <= TRIED[1]:
        first, last = (".".join(map(str, bound)) for bound in TRIED)
        raise ImportError(f"Numba is {numba.__version__}, and was tried from {first} to {last}")
    dispatcher = numba.njit(_check)
    used: list[tuple[Any, str]] = [
        (BaseContext, "add_linking_libs declare_function get_dummy_value get_value_type make_array make_tuple"),
        (CPUCallConv, "call_function return_user_exc"),
        (types.Dispatcher, "get_call_type"),
        (dispatcher, "overloads targetoptions _cache"),
        (IndexDataCacheFile("", "", ""), "_source_stamp"),
        (cgutils, "alloca_once alloca_once_value for_range for_range_slice gep_inbounds get_or_insert_function"),
        (cgutils, "if_unlikely is_true unpack_tuple"),
        (parallel, "NUM_THREADS _is_initialized _launch_threads"),
        (numba.config, "NUMBA_NUM_THREADS reload_config"),
        (event, "Listener register"),
    ]
    for holder, names in used:
        for name in names.split():
            getattr(holder, name)
    if "_cache_file" not in FunctionCache.__init__.__code__.co_names:
        raise AttributeError("FunctionCache has no attribute '_cache_file'")


_check()

#: What the processor can do that Numba compiles for: `{"avx2", "fma", ...}`. It is part of a kernel's key on disk.
FEATURES = frozenset(
    feature[1:]
    for feature in cpu_target.target_context.codegen()._get_host_cpu_features().split(",")
    if feature.startswith("+")
)

#: A pointer to anything.
BYTES = ir.IntType(8).as_pointer()

#: Typed as unknown, since who calls an intrinsic does not pass its first argument.
intrinsic: Any = numba_intrinsic


# Kernels on disk, and the log.


def set_stamp(dispatcher: Any, stamp: str) -> None:
    """What Numba has kept on disk for a dispatcher counts only if it has the same stamp; else it is written anew.

    So it is where it was compiled for other arguments: of processes that compile at the same time, as ranks do, two may
    write into one file, and the list of files that stays is that of either.
    """
    cache = dispatcher._cache
    cache._cache_file._source_stamp = stamp
    load = cache.load_overload

    def load_own(args: tuple[Any, ...], context: Any) -> Any:
        found = load(args, context)
        return found if found is not None and tuple(found.signature.args) == tuple(args) else None

    cache.load_overload = load_own


def on_compilation(report: Callable[[str], None]) -> None:
    """Call with the name of each kernel that is compiled rather than loaded, before that begins."""

    class Reporter(event.Listener):
        def on_start(self, compilation: Any) -> None:
            dispatcher = compilation.data.get("dispatcher")
            # Parts, ours and Numba's own, have names that say nothing.
            is_part = getattr(dispatcher, "targetoptions", {}).get("no_cpython_wrapper")
            if not is_part and not getattr(dispatcher, "__module__", "").startswith("numba."):
                report(getattr(dispatcher, "__name__", "a kernel"))

        def on_end(self, compilation: Any) -> None:
            pass

    event.register("numba:compile", Reporter())


# Threads.


def read_settings() -> bool:
    """Read NUMBA_NUM_THREADS, which may have been set after Numba was imported; False where threads run already."""
    config: Any = numba.config
    try:
        config.reload_config()
    except RuntimeError:
        os.environ["NUMBA_NUM_THREADS"] = str(config.NUMBA_NUM_THREADS)
        return False
    return True


def start_threads() -> str:
    """Start Numba's threads and make their functions known to compiled code; returns the layer.

    Raises:
        ValueError: NUMBA_THREADING_LAYER names a layer that is not installed.
    """
    if not parallel._is_initialized:
        config: Any = numba.config
        parallel.NUM_THREADS = config.NUMBA_NUM_THREADS  # which may have changed since Numba was imported
    chosen = multiprocessing.get_start_method(allow_none=True)
    parallel._launch_threads()
    if chosen is None:
        # Numba asks how processes are started, which settles it: the user's set_start_method would come too late.
        multiprocessing.set_start_method(None, force=True)
    return str(numba.threading_layer())


def get_num_threads(builder: Any, intp: Any) -> Any:
    """`numba.get_num_threads()`; in a thread that has none, it may be less than 1."""
    return builder.call(declared(builder, ir.FunctionType(intp, []), "get_num_threads"), [])


def start(builder: Any, run: Any, threads: Any, shared: Any) -> None:
    """Run a function once on each of so many threads, and wait.

    Args:
        run: `run(number, _, _, shared)`, where `number` points to the thread's number in place of an address.
        shared: a pointer, as BYTES.
    """
    intp = threads.type
    kind = ir.FunctionType(ir.VoidType(), [BYTES] * 5 + [intp] * 3)
    # Numba moves the address of an array by its step for each thread: from 0, by 1, that is the thread's number.
    first = slot(builder, builder.inttoptr(ir.Constant(intp, 0), BYTES))
    places = [builder.bitcast(one, BYTES) for one in (run, first, slot(builder, threads), slot(builder, intp(1)))]
    parallel_for = declared(builder, kind, "numba_parallel_for")
    builder.call(parallel_for, [*places, shared, ir.Constant(intp, 0), ir.Constant(intp, 1), threads])


def add_symbol(name: str, address: int) -> None:
    """Make an address known by the name by which compiled code, kept on disk or not, finds it."""
    llvmlite.binding.add_symbol(name, address)


# Instructions.


def value_type(context: Any, kind: Any) -> Any:
    """LLVM's type of one of Numba's."""
    return context.get_value_type(kind)


def nothing(context: Any) -> Any:
    """The value of an intrinsic that returns none."""
    return context.get_dummy_value()


def declared(builder: Any, kind: Any, name: str) -> Any:
    """A function of another module, by its name."""
    return cgutils.get_or_insert_function(builder.module, kind, name)


def element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """A pointer to an element of a contiguous array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def field(builder: Any, structure: Any, *index: int) -> Any:
    """A pointer to a field of the structure that a pointer points to."""
    return cgutils.gep_inbounds(builder, structure, 0, *index)


def slot(builder: Any, value: Any) -> Any:
    """A place on the stack that holds the value, or may hold one where the value is a type."""
    if isinstance(value, ir.Type):
        return cgutils.alloca_once(builder, value)
    return cgutils.alloca_once_value(builder, value)


def is_true(builder: Any, value: Any) -> Any:
    return cgutils.is_true(builder, value)


def unlikely(builder: Any, condition: Any) -> AbstractContextManager[Any]:
    """What is written within runs where the condition holds, which is rare."""
    return cgutils.if_unlikely(builder, condition)


@contextmanager
def for_range(builder: Any, count: Any, step: int = 1) -> Iterator[Any]:
    """A loop; what is written within runs for 0, `step`, 2 * `step`, ... below `count`, and is given that index."""
    if step == 1:
        with cgutils.for_range(builder, count) as loop:
            yield loop.index
        return
    bounds = ir.Constant(count.type, 0), count, ir.Constant(count.type, step)
    with cgutils.for_range_slice(builder, *bounds, inc=True) as (index, _):
        yield index


def unpacked(builder: Any, packed: Any, count: int) -> list[Any]:
    """The values of a tuple."""
    return list(cgutils.unpack_tuple(builder, packed, count))


def borrowed(context: Any, builder: Any, kind: Any, packed: Any) -> Any:
    """The tuple with its arrays as views that count no references: threads would contend for the counters."""
    values = []
    for one, value in zip(kind.types, unpacked(builder, packed, kind.count), strict=True):
        if isinstance(one, types.Array):
            array = context.make_array(one)(context, builder, value)
            array.meminfo = ir.Constant(array.meminfo.type, None)
            array.parent = ir.Constant(array.parent.type, None)
            value = array._getvalue()
        values.append(value)
    return context.make_tuple(builder, kind, values)


# Calls.


def compiled_for(typing: Any, function: Any, kinds: Sequence[Any]) -> Any:
    """The overload of a function, given as a kernel's argument, for arguments of these types."""
    function.get_call_type(typing, tuple(kinds), {})
    return function.dispatcher.overloads[tuple(kinds)]


def call(context: Any, builder: Any, overload: Any, arguments: Sequence[Any]) -> Any:
    """Call an overload, to be inlined; returns whether it raised an error."""
    context.add_linking_libs([overload.library])
    descriptor = overload.fndesc
    function = context.declare_function(builder.module, descriptor)
    status, _ = context.call_conv.call_function(
        builder, function, descriptor.restype, descriptor.argtypes, list(arguments), attrs=("alwaysinline",)
    )
    return status.is_error


def raise_memory_error(context: Any, builder: Any, message: str) -> None:
    context.call_conv.return_user_exc(builder, MemoryError, (message,))
