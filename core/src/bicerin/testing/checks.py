"""What every layer must do, as functions of a case and a device; `CHECKS` names them all.

They need no test runner: `LayerConformance` runs them under pytest, `bicerin plugins check` without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bicerin.device.device import get_device
from bicerin.errors import BicerinError, BlobCountError
from bicerin.layer.abilities import KeepsTops, ReadsTops
from bicerin.layer.blob import Blob
from bicerin.layer.blob_view import BlobView
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
                _pass(run, case)
            except BicerinError as error:
                _assert_refused(error, index, array, other)
            given = [*arrays[:index], other, *arrays[index + 1 :]]
            try:
                _pass(case.run(given, case.definition, device=device), case)
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
    _reseed(run, case)
    _spoil_tops(run)
    bottoms, tops = _copies(run.bottom), [blob.read_only.diff.copy() for blob in run.top]
    learned = [blob for index, blob in enumerate(run.blobs) if run.layer.param_propagate_down(index)]
    parameters = _copies(learned)
    run.forward()
    for blob, values in zip(run.bottom, bottoms, strict=True):
        assert _same(blob.read_only.data, values), f"forward changed {blob.name}"
    for index, (blob, values) in enumerate(zip(learned, parameters, strict=True)):
        assert _same(blob.read_only.data, values), f"forward changed learned parameter {index}"
    for blob, values in zip(run.top, tops, strict=True):
        if blob.shape == values.shape and not _shared(blob, run.bottom):
            assert _same(blob.read_only.diff, values), f"forward changed the diff of {blob.name}"
    if case.expected is not None:
        assert len(run.top) == len(case.expected), f"{len(run.top)} tops, expected {len(case.expected)}"
        for blob, expected in zip(run.top, case.expected, strict=True):
            assert_close(blob.read_only.data, np.asarray(expected), case.tolerance, blob.name)
    again = case.run(device=device)
    _give_parameters(again, run)
    _reseed(again, case)
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
    _pass(first, case)  # its kernels are compiled now, which must not find another `empty`
    for garbage in (np.nan, 1e3):
        with _Garbage(garbage, device):
            run = case.run(device=device)
            _give_parameters(run, first)
            _spoil_tops(run, garbage)
            results.append(_pass(run, case, garbage=garbage))
    _assert_equal(results[0], results[1], "with other values in memory that was not written yet")


def check_reshape_twice(case: LayerCase, device: str = "cpu") -> None:
    """A second reshape, and a second forward and backward pass, give what the first gave; on the CPU bit for bit."""
    run = case.run(device=device)
    first = _pass(run, case)
    run.node.reshape()
    shapes = [array.shape for name, array in first.items() if name.startswith("top")]
    assert [blob.shape for blob in run.top] == shapes, "the second reshape differs"
    _assert_equal(_pass(run, case), first, "the second pass", exactly=device == "cpu")


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
    _give_parameters(run, apart)
    _assert_equal(_pass(run, case), _pass(apart, case), "in place", rtol=1e-5)


def check_propagate_down(case: LayerCase, device: str = "cpu") -> None:
    """A bottom or parameter whose gradient is not wanted keeps its diff, and the other gradients are the same."""
    if not case.gradient:
        return
    whole = case.run(device=device)
    flags = _flags(case, whole)
    expected = _pass(whole, case)

    def compare(run: LayerRun, wanted: list[bool], unwanted: str) -> None:
        actual = _pass(run, case, wanted)
        common = {name: values for name, values in expected.items() if name in actual and name != unwanted}
        _assert_equal({name: actual[name] for name in common}, common, f"without the {unwanted}")

    for index in range(len(case.inputs)):
        run = case.run(device=device)
        _give_parameters(run, whole)
        run.bottom[index].diff.fill(7.0)
        compare(run, [flag and position != index for position, flag in enumerate(flags)], f"gradient of bottom {index}")
        shared = any(run.bottom[index].memory[1] is blob.memory[1] for blob in run.top)
        assert shared or (run.bottom[index].read_only.diff == 7.0).all(), (
            f"bottom {index} has propagate_down False, but was written"
        )
    for index in range(len(whole.blobs)):
        if not whole.layer.param_propagate_down(index):
            continue
        run = case.run(device=device)
        _give_parameters(run, whole)
        run.layer.set_param_propagate_down(index, False)
        compare(run, flags, f"gradient of parameter {index}")
        assert (run.blobs[index].read_only.diff == 0).all(), (
            f"parameter {index} has param_propagate_down False, but was written"
        )


def check_dtypes(case: LayerCase, device: str = "cpu") -> None:
    """float32 and float64 give the same up to rounding, each in its own dtype, and neither computes in the other."""
    double, single = (case.run(device=device, dtype=dtype) for dtype in (np.float64, np.float32))
    for run in (double, single):
        _reseed(run, case)
        run.forward()
        for kind, blobs in (("top", run.top), ("parameter", run.blobs)):
            for index, blob in enumerate(blobs):
                dtype = blob.read_only.data.dtype
                assert dtype == run.layer.dtype, f"{kind} {index} has the dtype {dtype} in a layer of {run.layer.dtype}"
        least = max([blob.count for blob in run.bottom], default=0)
        for name, array in _arrays(run.layer):
            other = array.dtype.kind == "f" and array.dtype != run.layer.dtype and array.size >= max(least, 2)
            assert not other, f"a layer of {run.layer.dtype} keeps `{name}`, {array.size} numbers of {array.dtype}"
    if case.parameters or not double.blobs:
        for blob, other in zip(single.top, double.top, strict=True):
            assert_close(blob.read_only.data, other.read_only.data, max(case.tolerance, 1e-4), f"float32 {blob.name}")
    for index, blob in enumerate(double.top):
        rounded = _through(blob.read_only.data, np.float32) and not _through(blob.read_only.data, np.float16)
        given = any(_through(array, np.float32) for array in case.arrays())
        assert not rounded or given, f"top {index} of a layer of float64 holds numbers that were rounded to float32"


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


def check_rows(case: LayerCase, device: str = "cpu") -> None:
    """The rows of a batch in reverse order give the same results in reverse order, and the same loss."""
    arrays = case.arrays()
    batched = _batched(case, arrays)
    if case.random or not batched or len(arrays[batched[0]]) < 2:
        return
    size = len(arrays[batched[0]])
    run = case.run(device=device, dtype=np.float64)
    turned = case.run(
        [array[::-1] if i in batched else array for i, array in enumerate(arrays)], device=device, dtype=np.float64
    )
    _give_parameters(turned, run)
    expected = _pass(run, case)
    actual = _pass(turned, case, turn=size)
    for name, values in expected.items():
        kind, _, index = name.rpartition(" ")
        rows = int(index) in batched if "bottom" in kind else kind == "top" and values.shape[:1] == (size,)
        if rows:
            expected[name] = values[::-1]
    _assert_equal(actual, expected, "with the batch in reverse order")


def check_reshape_down_and_up(case: LayerCase, device: str = "cpu") -> None:
    """After a batch of another size, or with other values, a layer gives what a new one gives."""
    arrays = case.arrays()
    batched = _batched(case, arrays)
    if not batched or any(len(arrays[index]) < 2 for index in batched):
        return
    few = [array[-1:] if i in batched else array for i, array in enumerate(arrays)]
    other = [array[::-1] if i in batched else array for i, array in enumerate(arrays)]
    run = case.run(device=device)
    grown = case.run(few, device=device)
    _give_parameters(grown, run)
    # What was learned before counts, and not what a forward pass made of it.
    parameters = [(blob, blob.data.copy()) for blob in (*run.blobs, *grown.blobs)]

    def reset() -> None:
        for blob, values in parameters:
            blob.data[...] = values

    first = _pass(run, case)

    def compare(used: LayerRun, given: list[np.ndarray], what: str) -> None:
        reset()
        fresh = case.run(given, device=device)
        _give_parameters(fresh, run)
        for index, array in enumerate(given):
            used.bottom[index].reshape(*array.shape)
            used.bottom[index].data[...] = array
        _assert_equal(_pass(used, case), _pass(fresh, case), what)

    compare(run, few, "the last row after the whole batch")
    compare(run, arrays, "the whole batch after the last row")
    compare(run, other, "the batch in reverse order after the batch")
    compare(grown, arrays, "the whole batch after a set-up with one row")
    reset()
    for index, array in enumerate(arrays):
        run.bottom[index].data[...] = array
    _assert_equal(_pass(run, case), first, "the first batch, given again")


def check_to_proto(case: LayerCase, device: str = "cpu") -> None:
    """A layer made from its own message gives the same."""
    run = case.run(device=device)
    message = run.node.to_proto()
    twin = case.run(definition=message, device=device)
    assert len(twin.blobs) == len(run.blobs), "the message holds another number of blobs"
    _assert_equal(_pass(twin, case), _pass(run, case), "the layer made from its own message")


def check_threads(case: LayerCase, device: str = "cpu") -> None:
    """Layers that run at once, each in its own thread, give what one alone gives; a shared one is serialised."""
    arrays = case.arrays()
    batched = () if "rows" in case.without else _batched(case, arrays)
    # Each has rows of its own, so that what one takes of another is seen.
    inputs = [
        [np.roll(array, turn, 0) if i in batched else array for i, array in enumerate(arrays)] for turn in (0, 1, 2)
    ]
    runs = [case.run(given, device=device) for given in inputs]
    for run in runs[1:]:
        _give_parameters(run, runs[0])
    alone = [_tops(run, case) for run in runs]
    root = shared_node(runs[0].node, runs[0].node.param)
    if root is not None:
        runs = [LayerRun(Node(root.layer, run.bottom, run.top, shared_with=root)) for run in runs]
    failures: list[BaseException] = []

    results: list[list[list[np.ndarray]]] = [[] for _ in runs]

    def work(run: LayerRun, passes: list[list[np.ndarray]]) -> None:
        try:
            for _ in range(5):
                run.forward()
                passes.append(_copies(run.top))
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
                _assert_equal(beside, expected, "a layer beside others")


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


def check_tops_are_spared(case: LayerCase, device: str = "cpu") -> None:
    """The backward pass does not read what is in the tops, unless the layer says so (`ReadsTops`)."""
    if not case.gradient or case.random:
        return
    run = case.run(device=device)
    if isinstance(run.layer, ReadsTops) and run.layer.reads_in_tops():
        return
    gradients: list[dict[str, np.ndarray]] = []
    for overwritten in (False, True):
        run = case.run(device=device)
        run.forward()
        _seed(run)
        for blob in run.top if overwritten else ():
            blob.data.fill(np.nan)
        flags = _flags(case, run)
        run.backward(flags)
        found = {f"bottom {i}": blob for i, (blob, flag) in enumerate(zip(run.bottom, flags, strict=True)) if flag}
        found |= {f"parameter {i}": blob for i, blob in enumerate(run.blobs) if run.layer.param_propagate_down(i)}
        gradients.append({f"gradient of {name}": blob.read_only.diff.copy() for name, blob in found.items()})
    _assert_equal(
        gradients[1],
        gradients[0],
        "with its tops overwritten before the backward pass, as a later layer in place does: a layer whose gradient "
        "needs what is in them is a bicerin.layer.abilities.ReadsTops",
    )


def check_device_parity(case: LayerCase, device: str = "cpu") -> None:
    """A device gives what the CPU gives, forward and backward. On the CPU there is nothing to compare."""
    if device == "cpu" or case.random:
        return
    host, other = case.run(), case.run(device=device)
    for mine, theirs in zip(other.blobs, host.blobs, strict=True):
        mine.data[...] = theirs.read_only.data
    for run in (host, other):
        _spoil_tops(run)
        _pass(run, case)
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
    "refusals": check_refusals,
    "forward": check_forward,
    "memory": check_memory,
    "reshape_twice": check_reshape_twice,
    "reshape_down_and_up": check_reshape_down_and_up,
    "in_place": check_in_place,
    "propagate_down": check_propagate_down,
    "dtypes": check_dtypes,
    "batch_sizes": check_batch_sizes,
    "rows": check_rows,
    "to_proto": check_to_proto,
    "threads": check_threads,
    "gradients": check_gradients,
    "tops_are_spared": check_tops_are_spared,
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


def _pass(
    run: LayerRun,
    case: LayerCase,
    flags: list[bool] | None = None,
    *,
    garbage: float = np.nan,
    turn: int | None = None,
) -> dict[str, np.ndarray]:
    """A forward and a backward pass: the tops, and the gradients of bottoms and parameters, by name.

    The gradients that backward must write hold `garbage` before. `turn` is the batch's size where the gradients that
    come from above are to be in reverse order of the rows.
    """
    results = _tops(run, case)
    if not case.gradient:
        return results
    _seed(run, turn)
    flags = _flags(case, run) if flags is None else flags
    for blob, wanted in zip(run.bottom, flags, strict=True):
        if wanted and not any(blob.memory[1] is top.memory[1] for top in run.top):
            blob.diff.fill(garbage)
    run.backward(flags)
    for index, (blob, wanted) in enumerate(zip(run.bottom, flags, strict=True)):
        if wanted:
            results[f"gradient of bottom {index}"] = blob.read_only.diff.copy()
    for index, blob in enumerate(run.blobs):
        if run.layer.param_propagate_down(index):
            results[f"gradient of parameter {index}"] = blob.read_only.diff.copy()
    return results


def _tops(run: LayerRun, case: LayerCase) -> dict[str, np.ndarray]:
    _reseed(run, case)
    run.forward()
    return {f"top {index}": blob.read_only.data.copy() for index, blob in enumerate(run.top)}


def _reseed(run: LayerRun, case: LayerCase) -> None:
    if case.random:
        generator = run.layer.context.random.bit_generator
        generator.state = type(generator)(11).state


def _give_parameters(run: LayerRun, other: LayerRun) -> None:
    for mine, theirs in zip(run.blobs, other.blobs, strict=True):
        mine.data[...] = theirs.read_only.data


def _spoil_tops(run: LayerRun, garbage: float = np.nan) -> None:
    """Fill the tops that forward must write, so that what it leaves out is seen."""
    if isinstance(run.layer, KeepsTops):
        return
    for blob in run.top:
        if not _shared(blob, [*run.bottom, *run.blobs]):
            blob.data.fill(garbage)


def _shared(blob: Blob, others: Sequence[Blob]) -> bool:
    return any(blob.memory[kind] is other.memory[kind] for other in others for kind in (0, 1))


def _seed(run: LayerRun, turn: int | None = None) -> None:
    if not run.node.is_loss:
        generator = np.random.default_rng(5)
        for blob in run.top:
            values = generator.uniform(-1, 1, blob.shape)
            blob.diff[...] = values[::-1] if turn is not None and blob.shape[:1] == (turn,) else values


def _copies(blobs: Sequence[Blob]) -> list[np.ndarray]:
    return [blob.read_only.data.copy() for blob in blobs]


def _same(one: Any, other: Any) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def _through(array: np.ndarray, dtype: Any) -> bool:
    """Whether the numbers are all of a narrower dtype."""
    with np.errstate(over="ignore"):
        return _same(array.astype(dtype).astype(array.dtype), array)


def _arrays(layer: Layer) -> Iterator[tuple[str, Any]]:
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


class _Garbage:
    """While it is entered, `empty` and `empty_like` of NumPy and of a device's module give arrays full of `value`."""

    def __init__(self, value: float, device: str) -> None:
        self.value = value
        modules = {id(module): module for module in (np, get_device(device).xp)}
        self.kept = [(module, name, getattr(module, name)) for module in modules.values() for name in _EMPTY]

    def __enter__(self) -> None:
        for module, name, function in self.kept:
            setattr(module, name, self._filling(function))

    def __exit__(self, *_: object) -> None:
        for module, name, function in self.kept:
            setattr(module, name, function)

    def _filling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def empty(*arguments: Any, **keywords: Any) -> Any:
            array = function(*arguments, **keywords)
            if array.dtype.kind == "f":
                array.fill(self.value)
            return array

        return empty


_EMPTY = ("empty", "empty_like")


def _assert_equal(
    actual: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    what: str,
    *,
    exactly: bool = False,
    rtol: float = 1e-6,
) -> None:
    assert list(actual) == list(expected), f"{what}: {list(actual)}, not {list(expected)}"
    for name, one in actual.items():
        other = expected[name]
        assert one.shape == other.shape, f"{what}: {name} has the shape {one.shape}, not {other.shape}"
        if exactly:
            assert _same(one, other), f"{what}: {name} differs"
            continue
        # Sums in another order differ by rounding of their terms, not of themselves.
        scale = float(np.abs(other[np.isfinite(other)]).max(initial=0))
        close = np.allclose(one, other, rtol=rtol, atol=rtol * max(scale, 0.1), equal_nan=True)
        assert close, f"{what}: {name} differs"
