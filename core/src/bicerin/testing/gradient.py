"""Analytic gradients against numeric ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bicerin.layer.blob import Blob
from bicerin.testing.run import LayerRun, run_layer

#: What a loss's weight is multiplied with.
WEIGHT = 1.75
#: How many elements of each blob are compared with differences on a device, by default.
ON_DEVICES = 16


def check_gradient(
    definition: Any,
    inputs: Sequence[np.ndarray],
    *,
    tops: int | None = None,
    parameters: Sequence[np.ndarray] = (),
    phase: Any = "TRAIN",
    device: Any = "cpu",
    check_bottom: Sequence[int] | None = None,
    step: float = 1e-5,
    tolerance: float = 1e-5,
    kink: Callable[[np.ndarray], np.ndarray] | None = None,
    reseed: bool = False,
    elements: int | None = None,
) -> None:
    """Check every gradient of a layer, in float64, against central differences of a random sum of its tops.

    Also checks that forward leaves its bottoms as they were, and backward all but the bottoms' gradients; that these
    are written whole, and parameters' gradients added to; that a loss counts its weight; and that a bottom without
    `propagate_down` is left alone.

    Args:
        definition: the text of a layer or a `LayerParameter`.
        inputs: one array per bottom.
        check_bottom: which bottoms have a gradient; by default those that the layer allows.
        step: the difference taken, in the units of the input.
        tolerance: how far the gradients may be apart, relative to the larger and at least 1.
        kink: given a bottom's values, the distance of each to the next point where the function has no derivative;
            elements closer than 2 * `step` are not compared.
        reseed: start the layer's generator anew before each pass, for layers that draw random numbers.
        elements: how many of each blob's elements are compared, chosen at random; 0 for all. By default all on the CPU,
            and `ON_DEVICES` on others, where two passes an element take long: `check_device_parity` compares the whole
            gradients with the CPU's.

    Raises:
        AssertionError: says which blob, element, and both gradients.
    """
    inputs = [np.asarray(array, np.float64) for array in inputs]
    run = run_layer(definition, inputs, tops=tops, parameters=parameters, phase=phase, device=device, dtype=np.float64)
    generator = run.layer.context.random.bit_generator
    start = generator.state

    def forward() -> float:
        if reseed:
            generator.state = start
        return run.forward()

    forward()
    for blob, array in zip(run.bottom, inputs, strict=True):
        assert np.array_equal(blob.data, array), f"forward changed {blob.name}"
    random = np.random.default_rng(1)
    is_loss = run.node.is_loss
    if is_loss:
        # Another weight than 1, which a loss that ignores `top.diff` would get right.
        run.node.loss_weights = [WEIGHT * weight for weight in run.node.loss_weights]
        for blob, weight in zip(run.top, run.node.loss_weights, strict=True):
            blob.diff.fill(weight)
    seeds = [] if is_loss else [random.uniform(-1, 1, blob.shape) for blob in run.top]

    def objective() -> float:
        loss = forward()
        return loss if is_loss else float(sum((s * b.data).sum() for s, b in zip(seeds, run.top, strict=True)))

    if check_bottom is None:
        check_bottom = [index for index, allowed in enumerate(run.propagate_down) if allowed]
    propagate_down = [index in check_bottom for index in range(len(run.bottom))]

    def seed_tops() -> None:
        for seed, blob in zip(seeds, run.top, strict=False):
            blob.diff[...] = seed

    forward()
    seed_tops()
    in_place = {id(blob.memory[1]) for blob in run.top}
    for index in check_bottom:
        # What is added to instead of written, or not written at all, stays NaN.
        if id(run.bottom[index].memory[1]) not in in_place:
            run.bottom[index].diff.fill(np.nan)
    kept = [(blob.data.copy(), blob.diff.copy()) for blob in run.top]
    run.backward(propagate_down)
    for blob, (data, diff) in zip(run.top, kept, strict=True):
        if not any(blob.shares_data_with(other) for other in run.bottom):
            assert np.array_equal(blob.data, data, equal_nan=True), f"backward changed the data of {blob.name}"
            assert np.array_equal(blob.diff, diff, equal_nan=True), f"backward changed the diff of {blob.name}"
    for blob, array in zip(run.bottom, inputs, strict=True):
        if not any(blob.shares_data_with(other) for other in run.top):
            assert np.array_equal(blob.data, array), f"backward changed the data of {blob.name}"
    checked: list[tuple[str, Blob, np.ndarray]] = []
    checked += [(f"bottom {index}", run.bottom[index], run.bottom[index].diff.copy()) for index in check_bottom]
    checked += [
        (f"parameter {index}", blob, blob.diff.copy())
        for index, blob in enumerate(run.blobs)
        if run.layer.param_propagate_down(index)
    ]
    _check_accumulation(run, propagate_down, seed_tops)
    _check_propagate_down(run, check_bottom, seed_tops)
    if elements is None:
        elements = 0 if run.layer.context.device.is_host else ON_DEVICES
    for name, blob, analytic in checked:
        hint = _hint(name, analytic)
        far = np.full(blob.shape, True) if kink is None else kink(blob.data) > 2 * step
        positions = np.argwhere(far)
        if 0 < elements < len(positions):
            positions = random.permutation(positions)[:elements]
        for position in map(tuple, positions.tolist()):
            value = blob.data[position]
            blob.data[position] = value + step
            above = objective()
            blob.data[position] = value - step
            below = objective()
            blob.data[position] = value
            numeric = (above - below) / (2 * step)
            scale = max(1.0, abs(float(numeric)), abs(float(analytic[position])))
            assert abs(numeric - analytic[position]) <= tolerance * scale, (
                f"{run.layer.type}: gradient of {name} at {position}: {analytic[position]!r} by backward, "
                f"{numeric!r} by differences{hint}"
            )


def _hint(name: str, analytic: np.ndarray) -> str:
    """What may be the matter with a gradient of which nothing was computed."""
    if np.isnan(analytic).all():
        what = f"backward wrote nothing to the diff of {name}"
    elif not analytic.any():
        what = f"backward left the gradient of {name} at 0 everywhere"
    else:
        return ""
    index = name.removeprefix("bottom ")
    no_gradient = (
        f"if {name} has no gradient, such as a label: allow_force_backward({index}) returns False for it, or "
        "check_bottom leaves it out"
    )
    return f"\n  {what}" + ("" if index == name else f"; {no_gradient}")


def _check_accumulation(run: LayerRun, propagate_down: Sequence[bool], seed_tops: Callable[[], None]) -> None:
    """A second backward pass without clearing doubles the parameters' gradients."""
    before = [blob.diff.copy() for blob in run.blobs]
    seed_tops()
    run.add_backward(propagate_down)
    for index, (blob, once) in enumerate(zip(run.blobs, before, strict=True)):
        if run.layer.param_propagate_down(index):
            assert np.allclose(blob.diff, 2 * once, rtol=1e-9, atol=1e-12), (
                f"{run.layer.type}: the gradient of parameter {index} is written, not added, by backward"
            )


def _check_propagate_down(run: LayerRun, checked: Sequence[int], seed_tops: Callable[[], None]) -> None:
    """A bottom whose flag is False keeps its diff, unless it shares it with a top."""
    shared = {id(blob.memory[1]) for blob in run.top}
    for index in checked:
        if id(run.bottom[index].memory[1]) in shared:
            continue
        flags = [i in checked and i != index for i in range(len(run.bottom))]
        run.bottom[index].diff.fill(7.0)
        seed_tops()
        run.backward(flags)
        assert (run.bottom[index].diff == 7.0).all(), (
            f"{run.layer.type}: bottom {index} has propagate_down False, but its diff was changed"
        )
