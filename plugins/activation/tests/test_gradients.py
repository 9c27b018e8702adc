"""The layer contract and every gradient; in place as not in place."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.testing import LayerConformance
from bicerin.testing.case import LayerCase
from bicerin_activation.cases import CASES


class TestLayers(LayerConformance):
    cases = CASES


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.gradient and "2x3x4x5" in case.name and "AbsVal" not in case.definition],
    ids=str,
)
def test_in_place_equals_not_in_place(case: LayerCase, device: str) -> None:
    (x,) = case.arrays()
    y_diff = np.random.default_rng(3).uniform(-2, 2, x.shape)
    separate, same = (case.run(dtype=np.float64, in_place=flag, device=device) for flag in (False, True))
    for run in (separate, same):
        run.forward()
        run.top[0].diff[...] = y_diff
    assert np.array_equal(separate.bottom[0].data, x)
    assert np.array_equal(same.top[0].data, separate.top[0].data)
    for run in (separate, same):
        run.backward()
    np.testing.assert_allclose(same.bottom[0].diff, separate.bottom[0].diff, rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(same.blobs, separate.blobs, strict=True):
        np.testing.assert_allclose(ours.diff, theirs.diff, rtol=1e-9)


#: Their gradients are made of y, as Caffe's are.
OF_THE_TOP = ("ELU", "Exp", "SeLu", "Sigmoid", "Swish", "TanH")


@pytest.mark.parametrize("case", [case for case in CASES if case.gradient and "2x3x4x5" in case.name], ids=str)
def test_few_gradients_read_the_top(case: LayerCase, device: str) -> None:
    """With the others the next layer may work in place on it."""
    plain, overwritten = (case.run(dtype=np.float64, device=device) for _ in range(2))
    for run in (plain, overwritten):
        run.forward()
        run.top[0].diff[...] = np.random.default_rng(3).uniform(-2, 2, run.top[0].shape)
    overwritten.top[0].data.fill(np.nan)
    for run in (plain, overwritten):
        run.backward()
    equal = np.allclose(overwritten.bottom[0].diff, plain.bottom[0].diff, rtol=1e-12, atol=1e-12)
    assert equal != (plain.layer.type in OF_THE_TOP)
    for ours, theirs in zip(overwritten.blobs, plain.blobs, strict=True):
        np.testing.assert_allclose(ours.diff, theirs.diff, rtol=1e-12)
