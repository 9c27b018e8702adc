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

A forked process has one of its parent's threads, the one that forked, and kernels run on that one. With GNU's OpenMP,
Numba ends a process that asks for others; the work queue's tables are gone; TBB starts others only if no thread ran a
kernel at the moment of the fork. A process that was spawned, or forked by a fork server, has threads of its own.
"""

from __future__ import annotations

import ctypes
import logging
import os
from typing import Any

import numba

from bicerin.kernels import numba_internals as internals
from bicerin.kernels.numba_internals import BYTES, intrinsic, ir, types

_log = logging.getLogger("bicerin.kernels")

#: How often a waiting thread looks for work before it goes to sleep, unless the user has said how threads wait: for
#: about as long as it takes to wake it, some 70 microseconds. Kernels follow on each other faster, so that threads stay
#: awake through a pass; and where other processes keep the processors busy, little is lost. (Threads that only spin are
#: several times slower there; threads that only sleep cost LeNet a third of its time.)
SPINS = 5000
#: Into how many shares for each thread many small units are gathered, since taking one takes a tenth of a microsecond.
SHARES = 32
#: Elements that one thread is done with before another has started.
SMALL = 1 << 14

_UNLIMITED = 1 << 30
#: What compiled code looks at whenever it may start threads, found by its name: whether one caller at a time may start
#: them, whether one has, and how many there are at most.
_state = (ctypes.c_int64 * 3)(0, 0, _UNLIMITED)
_TURNS, _TAKEN, _MOST = range(3)


def _start_threads() -> None:
    """Start them as Numba does here, and make what they share with us known to compiled code."""
    own = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ)
    if own:
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)  # read once, when the library of threads is loaded
    try:
        layer = internals.start_threads()
    finally:
        if own:
            del os.environ["GOMP_SPINCOUNT"]
    # Numba's own threads, which it has where there is no OpenMP, end the process when two callers start them at once.
    _state[_TURNS] = layer == "workqueue"
    internals.add_symbol("bicerin_threads", ctypes.addressof(_state))


_start_threads()
_started = numba.get_num_threads()


def is_alone() -> bool:
    """Whether this process was forked, and so runs kernels on the thread that calls them."""
    return _state[_MOST] == 1


def _after_fork() -> None:
    """In the child: none of the threads is there, and nobody is left to give back a turn."""
    _state[_TAKEN] = 0
    if is_alone():
        return
    _state[_MOST] = 1
    if _started == 1:
        return
    _log.info(
        "kernels run on one thread in process %d, which was forked: threads do not survive a fork. A process that is"
        " started with multiprocessing's method spawn or forkserver has all of them.",
        os.getpid(),
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


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
    compiled = internals.compiled_for(typing, body, (number, number, *arguments.types))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, count, threads, packed = args
        intp = count.type
        zero = ir.Constant(intp, 0)
        count = _at_least(builder, count, 0)
        packed = internals.borrowed(context, builder, arguments, packed)
        shares = _at_least(builder, builder.mul(threads, ir.Constant(intp, SHARES)), 1)
        grain = _at_least(builder, builder.sdiv(count, shares), 1)
        # What the threads share: the next unit, the number of units, whether one failed, the units to take at a time,
        # the arguments.
        shared = internals.slot(builder, ir.LiteralStructType([intp, intp, intp, intp, packed.type]))
        for index, value in enumerate((zero, count, zero, grain, packed)):
            builder.store(value, internals.field(builder, shared, index))
        run = _take_units(context, builder.module, compiled, shared.type, arguments)
        least = _least(builder, _least(builder, count, threads), _num_threads(builder, intp))
        given = builder.bitcast(shared, BYTES)
        together = internals.slot(builder, ir.IntType(1)(0))
        with builder.if_then(builder.icmp_signed(">", least, ir.Constant(intp, 1))):
            builder.store(_take_turn(builder), together)
        with builder.if_else(builder.load(together)) as (many, one):
            with many:
                internals.start(builder, run, least, given)
                builder.store_atomic(ir.IntType(64)(0), _place(builder, _TAKEN), "release", 8)
            with one:
                first = internals.slot(builder, builder.inttoptr(zero, BYTES))
                none = ir.Constant(intp.as_pointer(), None)
                builder.call(run, [first, none, none, given])
        failed = builder.load(internals.field(builder, shared, 2))
        with internals.unlikely(builder, builder.icmp_signed("!=", failed, zero)):
            internals.raise_memory_error(context, builder, "a kernel ran out of memory")
        return internals.nothing(context)

    return types.void(body, number, number, arguments), generate


def _take_units(context: Any, module: Any, compiled: Any, shared_type: Any, arguments: Any) -> Any:
    """The function that each thread runs, as Numba calls it: it takes units until there are no more."""
    intp = internals.value_type(context, types.intp)
    kind = ir.FunctionType(ir.VoidType(), [BYTES.as_pointer(), intp.as_pointer(), intp.as_pointer(), BYTES])
    run = ir.Function(module, kind, module.get_unique_name("take_units"))
    run.linkage = "internal"
    builder = ir.IRBuilder(run.append_basic_block("entry"))
    shared = builder.bitcast(run.args[3], shared_type)
    worker = builder.ptrtoint(builder.load(run.args[0]), intp)
    count = builder.load(internals.field(builder, shared, 1))
    grain = builder.load(internals.field(builder, shared, 3))
    others = internals.unpacked(builder, builder.load(internals.field(builder, shared, 4)), arguments.count)
    next_unit = internals.field(builder, shared, 0)
    taking, running, calling, done = (run.append_basic_block(name) for name in ("taking", "running", "calling", "done"))
    place = internals.slot(builder, intp)
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
    failed = internals.call(context, builder, compiled, [unit, worker, *others])
    with internals.unlikely(builder, failed):
        builder.store(ir.Constant(intp, 1), internals.field(builder, shared, 2))
    builder.store(builder.add(unit, ir.Constant(intp, 1)), place)
    builder.branch(running)
    builder.position_at_end(done)
    builder.ret_void()
    return run


def _place(builder: Any, index: int) -> Any:
    """The place of one of the numbers in `_state`."""
    kind = ir.ArrayType(ir.IntType(64), len(_state))
    name = "bicerin_threads"
    state = builder.module.globals.get(name) or ir.GlobalVariable(builder.module, kind, name)
    return builder.gep(state, [ir.IntType(32)(0), ir.IntType(32)(index)], inbounds=True)


def _take_turn(builder: Any) -> Any:
    """Whether the caller may start the threads now. Where there are no turns, 0 takes the place of 0."""
    turns = builder.load(_place(builder, _TURNS))
    before = builder.atomic_rmw("xchg", _place(builder, _TAKEN), turns, "acquire")
    return builder.icmp_signed("==", before, ir.IntType(64)(0))


def _num_threads(builder: Any, intp: Any) -> Any:
    """How many threads there are for the caller, 1 or more."""
    most = builder.load(_place(builder, _MOST))
    if most.type != intp:
        most = builder.trunc(most, intp)
    return _at_least(builder, _least(builder, internals.get_num_threads(builder, intp), most), 1)


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
        return builder.select(large, _num_threads(builder, intp), ir.Constant(intp, 1))

    return types.intp(types.intp), generate
