"""What every layer must do when shapes change: between passes, and from batch to batch."""

from __future__ import annotations

import numpy as np

from bicerin.testing.case import LayerCase
from bicerin.testing.passes import assert_equal, batched_of, flags_of, give_parameters, run_pass, seed_top_diffs
from bicerin.testing.run import LayerRun


def check_reshape_twice(case: LayerCase, device: str = "cpu") -> None:
    """A second reshape, and a second forward and backward pass, give what the first gave; on the CPU bit for bit."""
    run = case.run(device=device)
    first = run_pass(run, case)
    run.node.reshape()
    shapes = [array.shape for name, array in first.items() if name.startswith("top")]
    assert [blob.shape for blob in run.top] == shapes, "the second reshape differs"
    assert_equal(run_pass(run, case), first, "the second pass", exactly=device == "cpu")


def check_reshape_down_and_up(case: LayerCase, device: str = "cpu") -> None:
    """After a batch of another size, or with other values, a layer gives what a new one gives."""
    arrays = case.arrays()
    batched = batched_of(case, arrays)
    if not batched or any(len(arrays[index]) < 2 for index in batched):
        return
    few = [array[-1:] if i in batched else array for i, array in enumerate(arrays)]
    other = [array[::-1] if i in batched else array for i, array in enumerate(arrays)]
    run = case.run(device=device)
    grown = case.run(few, device=device)
    give_parameters(grown, run)
    # What was learned before counts, and not what a forward pass made of it.
    parameters = [(blob, blob.data.copy()) for blob in (*run.blobs, *grown.blobs)]

    def reset() -> None:
        for blob, values in parameters:
            blob.data[...] = values

    first = run_pass(run, case)

    def compare(used: LayerRun, given: list[np.ndarray], what: str) -> None:
        reset()
        fresh = case.run(given, device=device)
        give_parameters(fresh, run)
        for index, array in enumerate(given):
            used.bottom[index].reshape(*array.shape)
            used.bottom[index].data[...] = array
        assert_equal(run_pass(used, case), run_pass(fresh, case), what)

    compare(run, few, "the last row after the whole batch")
    compare(run, arrays, "the whole batch after the last row")
    compare(run, other, "the batch in reverse order after the batch")
    compare(grown, arrays, "the whole batch after a set-up with one row")
    reset()
    for index, array in enumerate(arrays):
        run.bottom[index].data[...] = array
    assert_equal(run_pass(run, case), first, "the first batch, given again")


def check_batch_sizes(case: LayerCase, device: str = "cpu") -> None:
    """A batch of one gives the first row's shape, and an empty batch passes through, forward and backward."""
    arrays = case.arrays()
    batched = batched_of(case, arrays)
    for size in (1, 0):
        run = case.run([array[:size] if i in batched else array for i, array in enumerate(arrays)], device=device)
        run.forward()
        if case.gradient:
            seed_top_diffs(run)
            run.backward(flags_of(case, run))


def check_rows(case: LayerCase, device: str = "cpu") -> None:
    """The rows of a batch in reverse order give the same results in reverse order, and the same loss."""
    arrays = case.arrays()
    batched = batched_of(case, arrays)
    if case.random or not batched or len(arrays[batched[0]]) < 2:
        return
    size = len(arrays[batched[0]])
    run = case.run(device=device, dtype=np.float64)
    turned = case.run(
        [array[::-1] if i in batched else array for i, array in enumerate(arrays)], device=device, dtype=np.float64
    )
    give_parameters(turned, run)
    expected = run_pass(run, case)
    actual = run_pass(turned, case, turn=size)
    for name, values in expected.items():
        kind, _, index = name.rpartition(" ")
        rows = int(index) in batched if "bottom" in kind else kind == "top" and values.shape[:1] == (size,)
        if rows:
            expected[name] = values[::-1]
    assert_equal(actual, expected, "with the batch in reverse order")
