"""What every layer's backward pass must do."""

from __future__ import annotations

import numpy as np

from bicerin.layer.abilities import ReadsTops
from bicerin.testing.case import LayerCase
from bicerin.testing.gradient import check_gradient
from bicerin.testing.passes import assert_equal, flags_of, give_parameters, run_pass, seed_top_diffs
from bicerin.testing.run import LayerRun


def check_propagate_down(case: LayerCase, device: str = "cpu") -> None:
    """A bottom or parameter whose gradient is not wanted keeps its diff, and the other gradients are the same."""
    if not case.gradient:
        return
    whole = case.run(device=device)
    flags = flags_of(case, whole)
    expected = run_pass(whole, case)

    def compare(run: LayerRun, wanted: list[bool], unwanted: str) -> None:
        actual = run_pass(run, case, wanted)
        common = {name: values for name, values in expected.items() if name in actual and name != unwanted}
        assert_equal({name: actual[name] for name in common}, common, f"without the {unwanted}")

    for index in range(len(case.inputs)):
        run = case.run(device=device)
        give_parameters(run, whole)
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
        give_parameters(run, whole)
        run.layer.set_param_propagate_down(index, False)
        compare(run, flags, f"gradient of parameter {index}")
        assert (run.blobs[index].read_only.diff == 0).all(), (
            f"parameter {index} has param_propagate_down False, but was written"
        )


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
        seed_top_diffs(run)
        for blob in run.top if overwritten else ():
            blob.data.fill(np.nan)
        flags = flags_of(case, run)
        run.backward(flags)
        found = {f"bottom {i}": blob for i, (blob, flag) in enumerate(zip(run.bottom, flags, strict=True)) if flag}
        found |= {f"parameter {i}": blob for i, blob in enumerate(run.blobs) if run.layer.param_propagate_down(i)}
        gradients.append({f"gradient of {name}": blob.read_only.diff.copy() for name, blob in found.items()})
    assert_equal(
        gradients[1],
        gradients[0],
        "with its tops overwritten before the backward pass, as a later layer in place does: a layer whose gradient "
        "needs what is in them is a bicerin.layer.abilities.ReadsTops",
    )
