"""What every layer must do, as functions of a case and a device; `CHECKS` names them all.

They need no test runner: `LayerConformance` runs them under pytest, `bicerin plugins check` without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from bicerin.errors import BlobCountError
from bicerin.layer.blob import Blob
from bicerin.layer.counts import Range
from bicerin.layer.layer import Layer
from bicerin.net.node import Node, shared_node
from bicerin.schema.create_layer import create_layer
from bicerin.testing.case import LayerCase
from bicerin.testing.gradient import check_gradient
from bicerin.testing.recorded import assert_close
from bicerin.testing.run import LayerRun


def check_blob_counts(case: LayerCase, device: str = "cpu") -> None:
    """Too few and too many bottoms and tops are refused."""
    right = case.run(device=device)
    counts = right.layer.counts
    for kind, allowed in (("bottom", counts.bottom), ("top", counts.top)):
        assert isinstance(allowed, Range)
        blobs = getattr(right, kind)
        wrong = [number for number in (allowed.least - 1, len(blobs) + 1) if number >= 0 and number not in allowed]
        for number in wrong:
            layer = create_layer(case.definition, phase=case.phase, device=device)
            given = [Blob((), layer.dtype, layer.context.device) for _ in range(number)]
            bottom, top = (given, right.top) if kind == "bottom" else (right.bottom, given)
            try:
                Node(layer, bottom, top).set_up()
            except BlobCountError:
                continue
            raise AssertionError(f"{layer.type} accepts {number} {kind}(s), but declares {allowed}")


def check_forward(case: LayerCase, device: str = "cpu") -> None:
    """The tops have the expected values, and the bottoms are as they were."""
    run = case.run(device=device)
    before = [blob.data.copy() for blob in run.bottom]
    run.forward()
    for blob, values in zip(run.bottom, before, strict=True):
        assert np.array_equal(blob.read_only.data, values, equal_nan=True), f"forward changed {blob.name}"
    if case.expected is not None:
        assert len(run.top) == len(case.expected), f"{len(run.top)} tops, expected {len(case.expected)}"
        for blob, expected in zip(run.top, case.expected, strict=True):
            assert_close(blob.read_only.data, np.asarray(expected), case.tolerance, blob.name)


def check_reshape_twice(case: LayerCase, device: str = "cpu") -> None:
    """A second reshape, and a second forward pass, give what the first gave."""
    run = case.run(device=device)
    first = _forward(run, case)
    run.node.reshape()
    assert [blob.shape for blob in run.top] == [array.shape for array in first], "the second reshape differs"
    _assert_equal(_forward(run, case), first, "the second forward pass")


def check_propagate_down(case: LayerCase, device: str = "cpu") -> None:
    """A bottom whose flag is False keeps its diff."""
    if not case.gradient:
        return
    for index in range(len(case.inputs)):
        run = case.run(device=device)
        _forward(run, case)
        _seed(run)
        flags = [flag and position != index for position, flag in enumerate(_flags(case, run))]
        run.bottom[index].diff.fill(7.0)
        run.backward(flags)
        assert (run.bottom[index].read_only.diff == 7.0).all(), (
            f"bottom {index} has propagate_down False, but was written"
        )


def check_dtypes(case: LayerCase, device: str = "cpu") -> None:
    """float32 and float64 give the same up to rounding, each in its own dtype."""
    double, single = (case.run(device=device, dtype=dtype) for dtype in (np.float64, np.float32))
    for run in (double, single):
        _forward(run, case)
        assert all(blob.read_only.data.dtype == run.layer.dtype for blob in run.top)
    if case.parameters or not double.blobs:
        for blob, other in zip(single.top, double.top, strict=True):
            assert_close(blob.read_only.data, other.read_only.data, max(case.tolerance, 1e-4), f"float32 {blob.name}")


def check_batch_sizes(case: LayerCase, device: str = "cpu") -> None:
    """A batch of one gives the first row's shape, and an empty batch passes through, forward and backward."""
    arrays = case.arrays()
    batched = _batched(case, arrays)
    for size in (1, 0):
        run = case.run([array[:size] if i in batched else array for i, array in enumerate(arrays)], device=device)
        run.forward()
        if case.gradient:
            _seed(run)
            run.backward(_flags(case, run))


def check_reshape_down_and_up(case: LayerCase, device: str = "cpu") -> None:
    """After a smaller batch, the first batch gives the same again."""
    arrays = case.arrays()
    batched = _batched(case, arrays)
    if not batched or any(len(arrays[index]) < 2 for index in batched):
        return
    run = case.run(device=device)
    first = _forward(run, case)
    for index in batched:
        run.bottom[index].reshape(1, *arrays[index].shape[1:])
        run.bottom[index].data[...] = arrays[index][:1]
    run.forward()
    for index in batched:
        run.bottom[index].reshape(*arrays[index].shape)
        run.bottom[index].data[...] = arrays[index]
    _assert_equal(_forward(run, case), first, "the first batch, given again")


def check_to_proto(case: LayerCase, device: str = "cpu") -> None:
    """A layer made from its own message gives the same."""
    run = case.run(device=device)
    message = run.node.to_proto()
    twin = case.run(definition=message, device=device)
    assert len(twin.blobs) == len(run.blobs), "the message holds another number of blobs"
    _assert_equal(_forward(twin, case), _forward(run, case), "the layer made from its own message")


def check_threads(case: LayerCase, device: str = "cpu") -> None:
    """Layers that run at once, each in its own thread, give what one alone gives; a shared one is serialised."""
    alone = _forward(case.run(device=device), case)
    runs = [case.run(device=device) for _ in range(3)]
    root = shared_node(runs[0].node, runs[0].node.param)
    if root is not None:
        runs = [LayerRun(Node(root.layer, run.bottom, run.top, shared_with=root)) for run in runs]
    for run in runs[1:]:
        for mine, first in zip(run.blobs, runs[0].blobs, strict=True):
            if mine is not first:
                mine.data[...] = first.read_only.data
    failures: list[BaseException] = []

    def work(run: LayerRun) -> None:
        try:
            for _ in range(5):
                run.forward()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    if not case.random:
        for run in runs:
            _assert_equal([blob.read_only.data for blob in run.top], alone, "a layer beside others")


def check_gradients(case: LayerCase, device: str = "cpu") -> None:
    """Every gradient equals numeric differences; see `check_gradient`."""
    if case.gradient:
        check_gradient(
            case.definition,
            case.arrays(),
            tops=case.tops,
            parameters=case.parameters,
            phase=case.phase,
            device=device,
            check_bottom=case.check_bottom,
            kink=case.kink,
            reseed=case.random,
        )


def check_device_parity(case: LayerCase, device: str = "cpu") -> None:
    """A device gives what the CPU gives, forward and backward. On the CPU there is nothing to compare."""
    if device == "cpu" or case.random:
        return
    host, other = case.run(), case.run(device=device)
    for mine, theirs in zip(other.blobs, host.blobs, strict=True):
        mine.data[...] = theirs.read_only.data
    for run in (host, other):
        run.forward()
        if case.gradient:
            _seed(run)
            run.backward(_flags(case, run))
    pairs = [(f"top {i}", one.data, two.data) for i, one, two in _both(other.top, host.top)]
    if case.gradient:
        flags = _flags(case, host)
        bottoms = [blobs for blobs in _both(other.bottom, host.bottom) if flags[blobs[0]]]
        pairs += [(f"gradient of bottom {i}", one.diff, two.diff) for i, one, two in bottoms]
        pairs += [(f"gradient of parameter {i}", one.diff, two.diff) for i, one, two in _both(other.blobs, host.blobs)]
    for name, actual, expected in pairs:
        assert_close(actual, expected, case.tolerance, f"{device}: {name}")


def check_copies(case: LayerCase, device: str = "cpu") -> None:
    """A layer with code for a device copies nothing to or from the host once it is running; a loss it may read.

    On a real GPU those are counted that a layer asks for; on the emulated one, those that CuPy makes unasked too.
    """
    run = case.run(device=device)
    if run.layer.context.device.is_host or not run.node.runs_on_device:
        return

    def pass_through() -> None:
        run.forward()
        if case.gradient:
            run.add_backward(flags)

    flags = _flags(case, run)
    if case.gradient:
        _seed(run)
    pass_through()
    transfers = run.layer.context.device.transfers
    before = transfers.to_host, transfers.to_device
    pass_through()
    after = transfers.to_host, transfers.to_device
    assert after == before, f"{after[0] - before[0]} copies to the host, {after[1] - before[1]} to the device"


#: Every check by the name under which a deviation from it is listed.
CHECKS: dict[str, Callable[[LayerCase, str], None]] = {
    "blob_counts": check_blob_counts,
    "forward": check_forward,
    "reshape_twice": check_reshape_twice,
    "reshape_down_and_up": check_reshape_down_and_up,
    "propagate_down": check_propagate_down,
    "dtypes": check_dtypes,
    "batch_sizes": check_batch_sizes,
    "to_proto": check_to_proto,
    "threads": check_threads,
    "gradients": check_gradients,
    "device_parity": check_device_parity,
    "copies": check_copies,
}


def _both(first: list[Blob], second: list[Blob]) -> list[tuple[int, Any, Any]]:
    """The blobs of two runs by their index, to read."""
    return [(i, a.read_only, b.read_only) for i, (a, b) in enumerate(zip(first, second, strict=True))]


def _batched(case: LayerCase, arrays: list[np.ndarray]) -> tuple[int, ...]:
    """The bottoms whose first axis is the batch."""
    if case.batched is not None:
        return case.batched
    return tuple(i for i, array in enumerate(arrays) if array.ndim and array.shape[:1] == arrays[0].shape[:1])


def _flags(case: LayerCase, run: LayerRun) -> list[bool]:
    if case.check_bottom is not None:
        return [index in case.check_bottom for index in range(len(run.bottom))]
    return run.propagate_down


def _forward(run: LayerRun, case: LayerCase) -> list[np.ndarray]:
    if case.random:
        run.layer.context.random.bit_generator.state = _generator_state(run.layer)
    run.forward()
    return [blob.read_only.data.copy() for blob in run.top]


def _generator_state(layer: Layer) -> Any:
    return type(layer.context.random.bit_generator)(11).state


def _seed(run: LayerRun) -> None:
    if not run.node.is_loss:
        generator = np.random.default_rng(5)
        for blob in run.top:
            blob.diff[...] = generator.uniform(-1, 1, blob.shape)


def _assert_equal(actual: list[np.ndarray], expected: list[np.ndarray], what: str) -> None:
    for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
        assert one.shape == other.shape, f"{what}: top {index} has the shape {one.shape}, not {other.shape}"
        assert np.allclose(one, other, rtol=1e-6, atol=1e-7, equal_nan=True), f"{what}: top {index} differs"
