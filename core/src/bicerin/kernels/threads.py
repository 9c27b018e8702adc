"""Spreading the units of a kernel's work over the threads.

    @part
    def clamp_row(row, worker, x, y):
        y[row] = np.maximum(x[row], 0)

    @kernel(reference=clamp_reference)
    def clamp(x, y):
        spread(clamp_row, len(x), num_workers(x.size), (x, y))

Numba's own `prange` would do, but compiles the loop's body several times over, in wrappers within wrappers, and gives
each thread a fixed share of the units. Here the body is a function of its own, compiled once more with the kernel that
spreads it, and a thread takes the next unit when it is done with one: where another process holds a processor, or one
unit takes longer than others, the rest of the threads do more.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic as numba_intrinsic
from numba.np.ufunc import parallel

#: How often a waiting thread looks for work before it goes to sleep, unless the user has said how threads wait: for
#: about as long as it takes to wake it, some 70 microseconds. Kernels follow on each other faster, so that threads stay
#: awake through a pass; and where other processes keep the processors busy, little is lost. (Threads that only spin are
#: several times slower there; threads that only sleep cost LeNet a third of its time.)
SPINS = 5000


def _start_threads() -> None:
    """Make the threads' starter known by the name by which compiled code, kept on disk or not, calls it."""
    own = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ)
    if own:
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)  # read once, when the library of threads is loaded
    if not parallel._is_initialized:
        config: Any = numba.config
        parallel.NUM_THREADS = config.NUMBA_NUM_THREADS  # which may have changed since Numba was imported
    try:
        parallel._launch_threads()
    finally:
        if own:
            del os.environ["GOMP_SPINCOUNT"]
    # Numba's own threads, which it has where there is no OpenMP, end the process when two callers start them at once.
    _turns[0] = numba.threading_layer() == "workqueue"
    llvmlite.binding.add_symbol("bicerin_turns", ctypes.addressof(_turns))


#: Whether one caller at a time may start the threads, and whether one has; by its place, for compiled code.
_turns = (ctypes.c_int64 * 2)()
_start_threads()

#: Typed as unknown, since who calls an intrinsic does not pass its first argument.
intrinsic: Any = numba_intrinsic

#: Into how many shares for each thread many small units are gathered, since taking one takes a tenth of a microsecond.
SHARES = 32
#: Elements that one thread is done with before another has started.
SMALL = 1 << 14

_BYTES = ir.IntType(8).as_pointer()


@intrinsic
def spread(typing: Any, body: Any, units: Any, workers: Any, arguments: Any) -> Any:
    """spread(body, units, workers, arguments): body(unit, worker, *arguments) for each unit, 0 to units - 1.

    Args:
        body: a kernel that returns nothing.
        units: units are begun in this order, each on the thread that is free first.
        workers: threads. A call's `worker` is that of its thread, 0 to workers - 1, so that each can have scratch
            memory of its own. With one worker or one unit the caller's thread does it all, and no other is woken.
        arguments: a tuple of what else the body takes.
    """
    number = types.intp
    body.get_call_type(typing, (number, number, *arguments.types), {})
    compiled = body.dispatcher.overloads[(number, number, *arguments.types)]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, count, threads, packed = args
        intp = count.type
        zero = ir.Constant(intp, 0)
        count = _at_least(builder, count, 0)
        packed = _borrowed(context, builder, arguments, packed)
        shares = _at_least(builder, builder.mul(threads, ir.Constant(intp, SHARES)), 1)
        grain = _at_least(builder, builder.sdiv(count, shares), 1)
        # What the threads share: the next unit, the number of units, whether one failed, the units to take at a time,
        # the arguments.
        shared = cgutils.alloca_once(builder, ir.LiteralStructType([intp, intp, intp, intp, packed.type]))
        for index, value in enumerate((zero, count, zero, grain, packed)):
            builder.store(value, cgutils.gep_inbounds(builder, shared, 0, index))
        context.add_linking_libs([compiled.library])
        run = _take_units(context, builder.module, compiled, shared.type, arguments)
        least = _least(builder, _least(builder, count, threads), _get_num_threads(builder, intp))
        given = builder.bitcast(shared, _BYTES)
        many = builder.icmp_signed(">", least, ir.Constant(intp, 1))
        with builder.if_else(builder.and_(many, _take_turn(builder))) as (together, alone):
            with together:
                _start(builder, run, least, given)
                _end_turn(builder)
            with alone:
                start = _spot(builder, builder.inttoptr(zero, _BYTES))
                builder.call(run, [start, _null(intp), _null(intp), given])
        failed = builder.load(cgutils.gep_inbounds(builder, shared, 0, 2))
        with cgutils.if_unlikely(builder, builder.icmp_signed("!=", failed, zero)):
            context.call_conv.return_user_exc(builder, MemoryError, ("a kernel ran out of memory",))
        return context.get_dummy_value()

    return types.void(body, number, number, arguments), generate


def _borrowed(context: Any, builder: Any, arguments: Any, packed: Any) -> Any:
    """The tuple with its arrays as views that count no references: threads would contend for the counters."""
    values = []
    for kind, value in zip(arguments.types, cgutils.unpack_tuple(builder, packed, arguments.count), strict=True):
        if isinstance(kind, types.Array):
            array = context.make_array(kind)(context, builder, value)
            array.meminfo = ir.Constant(array.meminfo.type, None)
            array.parent = ir.Constant(array.parent.type, None)
            value = array._getvalue()
        values.append(value)
    return context.make_tuple(builder, arguments, values)


def _take_units(context: Any, module: Any, compiled: Any, shared_type: Any, arguments: Any) -> Any:
    """The function that each thread runs, as Numba calls it: it takes units until there are no more."""
    intp = context.get_value_type(types.intp)
    kind = ir.FunctionType(ir.VoidType(), [_BYTES.as_pointer(), intp.as_pointer(), intp.as_pointer(), _BYTES])
    run = ir.Function(module, kind, module.get_unique_name("take_units"))
    run.linkage = "internal"
    builder = ir.IRBuilder(run.append_basic_block("entry"))
    shared = builder.bitcast(run.args[3], shared_type)
    # Numba moves the first argument's place by its step for each thread: from 0, by 1, that is the thread's number.
    worker = builder.ptrtoint(builder.load(run.args[0]), intp)
    count = builder.load(cgutils.gep_inbounds(builder, shared, 0, 1))
    grain = builder.load(cgutils.gep_inbounds(builder, shared, 0, 3))
    others = cgutils.unpack_tuple(builder, builder.load(cgutils.gep_inbounds(builder, shared, 0, 4)), arguments.count)
    body = context.declare_function(module, compiled.fndesc)
    fndesc = compiled.fndesc
    next_unit = cgutils.gep_inbounds(builder, shared, 0, 0)
    taking, running, calling, done = (run.append_basic_block(name) for name in ("taking", "running", "calling", "done"))
    place = cgutils.alloca_once(builder, intp)
    builder.branch(taking)
    builder.position_at_end(taking)
    first = builder.atomic_rmw("add", next_unit, grain, "monotonic")
    beyond = builder.add(first, grain)
    last = builder.select(builder.icmp_signed("<", beyond, count), beyond, count)
    builder.store(first, place)
    builder.cbranch(builder.icmp_signed("<", first, count), running, done)
    builder.position_at_end(running)
    unit = builder.load(place)
    builder.cbranch(builder.icmp_signed("<", unit, last), calling, taking)
    builder.position_at_end(calling)
    status, _ = context.call_conv.call_function(
        builder, body, fndesc.restype, fndesc.argtypes, [unit, worker, *others], attrs=("alwaysinline",)
    )
    with cgutils.if_unlikely(builder, status.is_error):
        builder.store(ir.Constant(intp, 1), cgutils.gep_inbounds(builder, shared, 0, 2))
    builder.store(builder.add(unit, ir.Constant(intp, 1)), place)
    builder.branch(running)
    builder.position_at_end(done)
    builder.ret_void()
    return run


def _start(builder: Any, run: Any, threads: Any, shared: Any) -> None:
    """Run the function once on each of so many threads, through whatever Numba has for threads here."""
    intp = threads.type
    kind = ir.FunctionType(ir.VoidType(), [_BYTES] * 5 + [intp] * 3)
    parallel_for = cgutils.get_or_insert_function(builder.module, kind, "numba_parallel_for")
    first = _spot(builder, builder.inttoptr(ir.Constant(intp, 0), _BYTES))
    size = _spot(builder, threads)
    step = _spot(builder, ir.Constant(intp, 1))
    places = [builder.bitcast(place, _BYTES) for place in (run, first, size, step)]
    builder.call(parallel_for, [*places, shared, ir.Constant(intp, 0), ir.Constant(intp, 1), threads])


def _turn(builder: Any, index: int) -> Any:
    """The place of one of the two numbers in `_turns`."""
    kind = ir.ArrayType(ir.IntType(64), len(_turns))
    turns = builder.module.globals.get("bicerin_turns") or ir.GlobalVariable(builder.module, kind, "bicerin_turns")
    return builder.gep(turns, [ir.IntType(32)(0), ir.IntType(32)(index)], inbounds=True)


def _take_turn(builder: Any) -> Any:
    """Whether the caller may start the threads now. Where there are no turns, 0 takes the place of 0."""
    turns = builder.load(_turn(builder, 0))
    before = builder.atomic_rmw("xchg", _turn(builder, 1), turns, "acquire")
    return builder.icmp_signed("==", before, ir.IntType(64)(0))


def _end_turn(builder: Any) -> None:
    builder.store_atomic(ir.IntType(64)(0), _turn(builder, 1), "release", 8)


def _spot(builder: Any, value: Any) -> Any:
    """A place in memory that holds the value."""
    return cgutils.alloca_once_value(builder, value)


def _null(intp: Any) -> Any:
    return ir.Constant(intp.as_pointer(), None)


def _get_num_threads(builder: Any, intp: Any) -> Any:
    """`numba.get_num_threads()`"""
    return builder.call(
        cgutils.get_or_insert_function(builder.module, ir.FunctionType(intp, []), "get_num_threads"), []
    )


def _least(builder: Any, first: Any, second: Any) -> Any:
    return builder.select(builder.icmp_signed("<", first, second), first, second)


def _at_least(builder: Any, value: Any, least: int) -> Any:
    bound = ir.Constant(value.type, least)
    return builder.select(builder.icmp_signed(">", value, bound), value, bound)


@intrinsic
def num_workers(typing: Any, elements: Any) -> Any:
    """num_workers(elements): how many threads the work on so many elements is worth, all of them or one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        intp = args[0].type
        large = builder.icmp_signed(">=", args[0], ir.Constant(intp, SMALL))
        return builder.select(large, _get_num_threads(builder, intp), ir.Constant(intp, 1))

    return types.intp(types.intp), generate
