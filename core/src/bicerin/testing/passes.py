"""Passes of a case, and what is compared after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer.abilities import KeepsTops
from bicerin.layer.blob import Blob
from bicerin.testing.case import LayerCase
from bicerin.testing.run import LayerRun


def both(first: list[Blob], second: list[Blob]) -> list[tuple[int, Any, Any]]:
    """The blobs of two runs by their index, to read."""
    return [(i, a.read_only, b.read_only) for i, (a, b) in enumerate(zip(first, second, strict=True))]


def batched_of(case: LayerCase, arrays: list[np.ndarray]) -> tuple[int, ...]:
    """The bottoms whose first axis is the batch."""
    if case.batched is not None:
        return case.batched
    return tuple(i for i, array in enumerate(arrays) if array.ndim and array.shape[:1] == arrays[0].shape[:1])


def flags_of(case: LayerCase, run: LayerRun) -> list[bool]:
    if case.check_bottom is not None:
        return [index in case.check_bottom for index in range(len(run.bottom))]
    return run.propagate_down


def run_pass(
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
    results = run_tops(run, case)
    if not case.gradient:
        return results
    seed_top_diffs(run, turn)
    flags = flags_of(case, run) if flags is None else flags
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


def run_tops(run: LayerRun, case: LayerCase) -> dict[str, np.ndarray]:
    reseed(run, case)
    run.forward()
    return {f"top {index}": blob.read_only.data.copy() for index, blob in enumerate(run.top)}


def reseed(run: LayerRun, case: LayerCase) -> None:
    if case.random:
        generator = run.layer.context.random.bit_generator
        generator.state = type(generator)(11).state


def give_parameters(run: LayerRun, other: LayerRun) -> None:
    for mine, theirs in zip(run.blobs, other.blobs, strict=True):
        mine.data[...] = theirs.read_only.data


def spoil_tops(run: LayerRun, garbage: float = np.nan) -> None:
    """Fill the tops that forward must write, so that what it leaves out is seen."""
    if isinstance(run.layer, KeepsTops):
        return
    for blob in run.top:
        if not is_shared(blob, [*run.bottom, *run.blobs]):
            blob.data.fill(garbage)


def is_shared(blob: Blob, others: Sequence[Blob]) -> bool:
    return any(blob.memory[kind] is other.memory[kind] for other in others for kind in (0, 1))


def seed_top_diffs(run: LayerRun, turn: int | None = None) -> None:
    if not run.node.is_loss:
        generator = np.random.default_rng(5)
        for blob in run.top:
            values = generator.uniform(-1, 1, blob.shape)
            blob.diff[...] = values[::-1] if turn is not None and blob.shape[:1] == (turn,) else values


def copies(blobs: Sequence[Blob]) -> list[np.ndarray]:
    return [blob.read_only.data.copy() for blob in blobs]


def same(one: Any, other: Any) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def assert_equal(
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
            assert same(one, other), f"{what}: {name} differs"
            continue
        # Sums in another order differ by rounding of their terms, not of themselves.
        scale = float(np.abs(other[np.isfinite(other)]).max(initial=0))
        close = np.allclose(one, other, rtol=rtol, atol=rtol * max(scale, 0.1), equal_nan=True)
        assert close, f"{what}: {name} differs"
