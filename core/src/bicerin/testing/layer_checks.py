"""What every layer must do: what it takes and refuses, and what it makes of its bottoms."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from bicerin.errors import BicerinError, BlobCountError
from bicerin.layer.blob import Blob
from bicerin.layer.blob_view import BlobView
from bicerin.layer.counts import Range
from bicerin.layer.layer import Layer
from bicerin.net.node import Node, shared_node
from bicerin.schema.create_layer import create_layer
from bicerin.testing.case import LayerCase
from bicerin.testing.garbage import Garbage
from bicerin.testing.passes import (
    assert_equal,
    batched_of,
    copies,
    give_parameters,
    is_shared,
    reseed,
    run_pass,
    run_tops,
    same,
    spoil_tops,
)
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


def check_refusals(case: LayerCase, device: str = "cpu") -> None:
    """Bottoms of shapes that the layer cannot work with are refused in words of its own.

    What it can work with it may; but where its code fails, with NumPy's words or others', it did not look at the shape.
    """
    arrays = case.arrays()
    for index, array in enumerate(arrays):
        others = [array.reshape(-1), array[None], array[..., None]]
        others += [np.concatenate((array, array.take([0], axis)), axis) for axis in range(array.ndim) if array.size]
        for other in others:
            if other.shape == array.shape:
                continue
            try:
                run = case.run(device=device)
                run.bottom[index].reshape(*other.shape)
                run.bottom[index].data[...] = other
                run_pass(run, case)
            except BicerinError as error:
                _assert_refused(error, index, array, other)
            given = [*arrays[:index], other, *arrays[index + 1 :]]
            try:
                run_pass(case.run(given, case.definition, device=device), case)
            except BicerinError as error:
                _assert_refused(error, index, array, other)


def _assert_refused(error: BicerinError, index: int, array: np.ndarray, other: np.ndarray) -> None:
    cause = error.__cause__
    assert cause is None or isinstance(cause, BicerinError | MemoryError), (
        f"a bottom {index} of shape {other.shape} instead of {array.shape} is not refused; "
        f"the code fails: {type(cause).__name__}: {cause}"
    )


def check_forward(case: LayerCase, device: str = "cpu") -> None:
    """The tops have the expected values, all of them written; bottoms, parameters and gradients are as they were."""
    run = case.run(device=device)
    reseed(run, case)
    spoil_tops(run)
    bottoms, tops = copies(run.bottom), [blob.read_only.diff.copy() for blob in run.top]
    learned = [blob for index, blob in enumerate(run.blobs) if run.layer.param_propagate_down(index)]
    parameters = copies(learned)
    run.forward()
    for blob, values in zip(run.bottom, bottoms, strict=True):
        assert same(blob.read_only.data, values), f"forward changed {blob.name}"
    for index, (blob, values) in enumerate(zip(learned, parameters, strict=True)):
        assert same(blob.read_only.data, values), f"forward changed learned parameter {index}"
    for blob, values in zip(run.top, tops, strict=True):
        if blob.shape == values.shape and not is_shared(blob, run.bottom):
            assert same(blob.read_only.diff, values), f"forward changed the diff of {blob.name}"
    if case.expected is not None:
        assert len(run.top) == len(case.expected), f"{len(run.top)} tops, expected {len(case.expected)}"
        for blob, expected in zip(run.top, case.expected, strict=True):
            assert_close(blob.read_only.data, np.asarray(expected), case.tolerance, blob.name)
    again = case.run(device=device)
    give_parameters(again, run)
    reseed(again, case)
    again.forward()
    for index, (blob, other) in enumerate(zip(run.top, again.top, strict=True)):
        unwritten = np.isnan(blob.read_only.data) & ~np.isnan(other.read_only.data)
        assert not unwritten.any(), f"forward leaves {unwritten.sum()} of {blob.count} values of top {index} unwritten"


def check_memory(case: LayerCase, device: str = "cpu") -> None:
    """No result depends on what was in memory before: buffers made with `empty`, tops, gradients to be written.

    What NumPy's and the device's `empty` and `empty_like` give is filled with NaN, and then with a number.
    """
    results = []
    first = case.run(device=device)
    run_pass(first, case)  # its kernels are compiled now, which must not find another `empty`
    for garbage in (np.nan, 1e3):
        with Garbage(garbage, device):
            run = case.run(device=device)
            give_parameters(run, first)
            spoil_tops(run, garbage)
            results.append(run_pass(run, case, garbage=garbage))
    assert_equal(results[0], results[1], "with other values in memory that was not written yet")


def check_in_place(case: LayerCase, device: str = "cpu") -> None:
    """Where the first top may be the first bottom, the results are those of a top of its own."""
    apart = case.run(device=device)
    if not apart.bottom or not apart.top or not apart.layer.allows_in_place:
        return
    if apart.top[0].shape != apart.bottom[0].shape:
        return
    try:
        run = case.run(device=device, in_place=True)
    except BicerinError:
        return
    give_parameters(run, apart)
    assert_equal(run_pass(run, case), run_pass(apart, case), "in place", rtol=1e-5)


def check_dtypes(case: LayerCase, device: str = "cpu") -> None:
    """float32 and float64 give the same up to rounding, each in its own dtype, and neither computes in the other."""
    double, single = (case.run(device=device, dtype=dtype) for dtype in (np.float64, np.float32))
    for run in (double, single):
        reseed(run, case)
        run.forward()
        for kind, blobs in (("top", run.top), ("parameter", run.blobs)):
            for index, blob in enumerate(blobs):
                dtype = blob.read_only.data.dtype
                assert dtype == run.layer.dtype, f"{kind} {index} has the dtype {dtype} in a layer of {run.layer.dtype}"
        least = max([blob.count for blob in run.bottom], default=0)
        for name, array in kept_arrays(run.layer):
            other = array.dtype.kind == "f" and array.dtype != run.layer.dtype and array.size >= max(least, 2)
            assert not other, f"a layer of {run.layer.dtype} keeps `{name}`, {array.size} numbers of {array.dtype}"
    if case.parameters or not double.blobs:
        for blob, other in zip(single.top, double.top, strict=True):
            assert_close(blob.read_only.data, other.read_only.data, max(case.tolerance, 1e-4), f"float32 {blob.name}")
    for index, blob in enumerate(double.top):
        rounded = is_narrower(blob.read_only.data, np.float32) and not is_narrower(blob.read_only.data, np.float16)
        given = any(is_narrower(array, np.float32) for array in case.arrays())
        assert not rounded or given, f"top {index} of a layer of float64 holds numbers that were rounded to float32"


def is_narrower(array: np.ndarray, dtype: Any) -> bool:
    """Whether the numbers are all of a narrower dtype."""
    with np.errstate(over="ignore"):
        return same(array.astype(dtype).astype(array.dtype), array)


def kept_arrays(layer: Layer) -> Iterator[tuple[str, Any]]:
    """The arrays that a layer keeps: its attributes, and those in lists and dicts of its own."""
    for name, value in vars(layer).items():
        if name in ("blobs", "xp", "ops", "param", "context"):
            continue
        inside = (
            value if isinstance(value, list | tuple) else list(value.values()) if isinstance(value, dict) else [value]
        )
        for one in inside:
            if isinstance(one, Blob | BlobView):
                one = one.read_only.data
            if hasattr(one, "dtype") and hasattr(one, "size") and hasattr(one, "shape"):
                yield name, one


def check_to_proto(case: LayerCase, device: str = "cpu") -> None:
    """A layer made from its own message gives the same."""
    run = case.run(device=device)
    message = run.node.to_proto()
    twin = case.run(definition=message, device=device)
    assert len(twin.blobs) == len(run.blobs), "the message holds another number of blobs"
    assert_equal(run_pass(twin, case), run_pass(run, case), "the layer made from its own message")


def check_threads(case: LayerCase, device: str = "cpu") -> None:
    """Layers that run at once, each in its own thread, give what one alone gives; a shared one is serialised."""
    arrays = case.arrays()
    batched = () if "rows" in case.without else batched_of(case, arrays)
    # Each has rows of its own, so that what one takes of another is seen.
    inputs = [
        [np.roll(array, turn, 0) if i in batched else array for i, array in enumerate(arrays)] for turn in (0, 1, 2)
    ]
    runs = [case.run(given, device=device) for given in inputs]
    for run in runs[1:]:
        give_parameters(run, runs[0])
    alone = [run_tops(run, case) for run in runs]
    root = shared_node(runs[0].node, runs[0].node.param)
    if root is not None:
        runs = [LayerRun(Node(root.layer, run.bottom, run.top, shared_with=root)) for run in runs]
    failures: list[BaseException] = []

    results: list[list[list[np.ndarray]]] = [[] for _ in runs]

    def work(run: LayerRun, passes: list[list[np.ndarray]]) -> None:
        try:
            for _ in range(5):
                run.forward()
                passes.append(copies(run.top))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(runs, results, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    if not case.random:
        for passes, expected in zip(results, alone, strict=True):
            for tops in passes:
                beside = {f"top {index}": values for index, values in enumerate(tops)}
                assert_equal(beside, expected, "a layer beside others")
