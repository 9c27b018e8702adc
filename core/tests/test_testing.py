"""The test kit finds what it is there to find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bicerin.errors import PluginError
from bicerin.layer import BlobCounts, at_most
from bicerin.layer.layer import layers
from bicerin.testing import CHECKS, LayerConformance, check_gradient, layer_case, run_layer
from bicerin.testing.recorded import assert_close

AFFINE = 'type: "Affine" inner_product_param { weight_filler { type: "constant" value: 2 } }'


@pytest.fixture(autouse=True)
def _layers(provided) -> None:
    """Every test here uses the layers of conftest."""


@pytest.mark.parametrize(
    ("backward", "said"),
    [
        (lambda self, top, propagate_down, bottom: None, "backward wrote nothing to the diff of bottom 0; if bottom 0"),
        (
            lambda self, top, propagate_down, bottom: bottom[0].diff.fill(0) if propagate_down[0] else None,
            r"left the gradient of bottom 0 at 0 everywhere; if .* a label: allow_force_backward\(0\) returns False",
        ),
    ],
)
def test_a_gradient_that_nobody_computes(backward: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_layer(monkeypatch, backward=backward)
    with pytest.raises(AssertionError, match=said):
        check_gradient('type: "Square"', [np.ones((2, 3))])


class TestAffine(LayerConformance):
    cases = (
        layer_case("plain", AFFINE, [(4, 3)], parameters=[np.arange(3), np.ones(3)]),
        layer_case("known", AFFINE, [np.ones((2, 3))], expected=[np.full((2, 3), 2)]),
    )


class TestSquare(LayerConformance):
    cases = (layer_case("plain", 'type: "Square"', [(4, 3)]),)


class TestHalfSquareLoss(LayerConformance):
    cases = (layer_case("plain", 'type: "HalfSquareLoss"', [(4, 3), (4, 3)]),)
    deviations = {"batch_sizes": "the mean of no rows is not defined"}


class TestNoise(LayerConformance):
    cases = (layer_case("plain", 'type: "Noise"', [(4, 3)], gradient=False, random=True),)


CASE = layer_case("case", 'type: "Square"', [(3, 2)])


def break_layer(monkeypatch: pytest.MonkeyPatch, **attributes) -> None:
    for name, value in attributes.items():
        monkeypatch.setattr(layers.load("Square"), name, value)


def writes_bottom(self, bottom, top) -> None:
    top[0].data[...] = bottom[0].data
    bottom[0].data[...] = 0


def ignores_flags(self, top, propagate_down, bottom) -> None:
    bottom[0].diff[...] = 2 * self.kept * top[0].diff


def wrong_gradient(self, top, propagate_down, bottom) -> None:
    if propagate_down[0]:
        bottom[0].diff[...] = self.kept * top[0].diff


def grows(self, bottom, top) -> None:
    self.kept = np.empty(bottom[0].shape, self.dtype)
    top[0].reshape(1 if top[0].shape[:1] == (2,) else 2, *bottom[0].shape)


def half_precision(self, bottom, top) -> None:
    self.kept[...] = bottom[0].data
    values = self.kept**2
    top[0].data[...] = values.astype(np.float16) if self.dtype == np.float32 else values


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        ("forward", {"forward": writes_bottom}, "forward changed in0"),
        ("propagate_down", {"backward": ignores_flags}, "but was written"),
        ("gradients", {"backward": wrong_gradient}, "by differences"),
        ("reshape_twice", {"reshape": grows}, "second reshape differs"),
        ("dtypes", {"forward": half_precision}, "float32 top0"),
        ("blob_counts", {"counts": BlobCounts(bottom=1, top=at_most(2))}, None),
    ],
)
def test_a_broken_layer_is_found(
    monkeypatch: pytest.MonkeyPatch, check: str, broken: dict, message: str | None
) -> None:
    CHECKS[check](CASE, "cpu")
    break_layer(monkeypatch, **broken)
    if message is None:
        CHECKS[check](CASE, "cpu")  # another declaration, kept as well
        return
    with pytest.raises(AssertionError, match=message):
        CHECKS[check](CASE, "cpu")


def test_a_layer_that_enforces_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BlobCounts, "check", lambda self, type_name, bottom, top: None)
    monkeypatch.setattr(layers.load("Square"), "reshape", lambda self, bottom, top: None)
    with pytest.raises(AssertionError, match=r"Square accepts 0 bottom\(s\), but declares 1"):
        CHECKS["blob_counts"](CASE, "cpu")


def test_kinks_are_left_out() -> None:
    values = np.array([[1e-7, 2.0]])
    check_gradient('type: "Square"', [values], kink=np.abs)


def test_wrong_values_are_said() -> None:
    with pytest.raises(AssertionError, match=r"x: at \(1,\) 3.0, expected 2.0; 1 of 2"):
        assert_close(np.array([1.0, 3.0]), np.array([1.0, 2.0]), 1e-4, "x")
    with pytest.raises(AssertionError, match="NaN in other places"):
        assert_close(np.array([np.nan]), np.array([1.0]), 1e-4, "x")


def test_a_class_without_cases_is_refused() -> None:
    with pytest.raises(TypeError, match="lists no cases"):
        type("Empty", (LayerConformance,), {})
    with pytest.raises(TypeError, match="unknown checks"):
        type("Misspelt", (LayerConformance,), {"cases": (CASE,), "deviations": {"batch_size": "?"}})


def test_in_place() -> None:
    run = run_layer('type: "Square"', [np.full((2, 2), 3.0)], in_place=True)
    run.forward()
    assert (run.bottom[0].data == 9).all()


@pytest.mark.parametrize(("inputs", "tops"), [([np.ones(2)], 0), ([], 1)])
def test_in_place_needs_a_bottom_and_a_top(inputs: list[np.ndarray], tops: int) -> None:
    words = rf"in_place: Square has {len(inputs)} bottom\(s\) and {tops} top\(s\) here"
    with pytest.raises(ValueError, match=words):
        run_layer('type: "Square"', inputs, tops=tops, in_place=True)


def test_the_python_layer_helper_names_what_it_needs(provided: Any) -> None:
    from bicerin.testing import test_gradient_for_python_layer

    provided.index["bicerin.layers"].pop("Python", None)
    with pytest.raises(PluginError, match="pip install bicerin-python"):
        test_gradient_for_python_layer([("x", np.ones(2))], ["y"], "module", "Layer", "", [True])


def test_values_that_are_not_finite_are_silent(recwarn: pytest.WarningsRecorder) -> None:
    run = run_layer('type: "Square"', [np.array([3e38, np.inf, np.nan])])
    run.forward()
    run.top[0].diff[...] = np.inf
    run.backward()
    assert run.top[0].data[0] == np.inf and not recwarn.list
