"""Scale and Bias: how the operand lies against the bottom, in place and checks."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import BlobCountError, ShapeError
from bicerin.testing import run_layer


def scale(options: str = "") -> str:
    return f'type: "Scale" scale_param {{ {options} }}'


def bias(options: str = "") -> str:
    return f'type: "Bias" bias_param {{ {options} }}'


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 2, shape)


#: The options, and the shape in which the operand is repeated over a bottom of (2, 3, 4, 5).
LEARNED = pytest.mark.parametrize(("options", "shape", "repeated"), [
    ("", (3,), (3, 1, 1)),
    ("axis: 0 num_axes: 2", (2, 3), (2, 3, 1, 1)),
    ("axis: 2 num_axes: -1", (4, 5), (4, 5)),
    ("axis: -1", (5,), (5,)),
    ("axis: 0 num_axes: -1", (2, 3, 4, 5), (2, 3, 4, 5)),
    ("num_axes: 0", (), ()),
])  # fmt: skip


@LEARNED
@pytest.mark.parametrize("in_place", [False, True])
def test_learned(options: str, shape: tuple[int, ...], repeated: tuple[int, ...], in_place: bool, device: str) -> None:
    x, factor, summand = values(2, 3, 4, 5), values(*shape, seed=1), values(*shape, seed=2)
    run = run_layer(
        scale(options + " bias_term: true"), [x], parameters=[factor, summand], in_place=in_place, device=device
    )
    assert [blob.shape for blob in run.blobs] == [shape, shape]
    run.forward()
    assert run.top[0].data == pytest.approx(
        x * factor.reshape(repeated) + summand.reshape(repeated), rel=1e-4, abs=1e-6
    )
    run = run_layer(bias(options), [x], parameters=[summand], in_place=in_place, device=device)
    run.forward()
    assert run.top[0].data == pytest.approx(x + summand.reshape(repeated), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("definition", [scale(), scale("bias_term: true"), scale("axis: 3"), bias()])
@pytest.mark.parametrize("bottoms", [1, 2])
def test_gradient_in_place(definition: str, bottoms: int, device: str) -> None:
    """Also when a later in-place layer has overwritten the top."""
    size = 5 if "axis: 3" in definition else 3
    inputs = [values(2, 3, 4, 5), values(size, seed=1)][:bottoms]
    results = []
    for in_place in (False, True):
        run = run_layer(definition, inputs, in_place=in_place, device=device)
        run.forward()
        if in_place:
            run.top[0].data.fill(9)
        run.top[0].diff[...] = values(2, 3, 4, 5, seed=2)
        run.backward()
        results.append([blob.diff.copy() for blob in (*run.bottom, *run.blobs)])
    for apart, together in zip(*results, strict=True):
        assert apart == pytest.approx(together, rel=1e-5)


def test_a_frozen_parameter_takes_no_gradient(device: str) -> None:
    run = run_layer(scale("bias_term: true"), [values(2, 3, 4, 5)], device=device)
    run.forward()
    run.top[0].diff[...] = 1
    for frozen in (0, 1):
        run.layer.set_param_propagate_down(frozen, False)
        run.layer.set_param_propagate_down(1 - frozen, True)
        run.backward()
        assert (run.blobs[frozen].diff == 0).all()
        assert (run.blobs[1 - frozen].diff != 0).all()


def test_fillers(device: str) -> None:
    def filled(definition: str) -> list[list[float]]:
        return [blob.data.tolist() for blob in run_layer(definition, [values(2, 3)], device=device).blobs]

    assert filled(scale("bias_term: true")) == [[1, 1, 1], [0, 0, 0]]
    assert filled(scale("filler { value: 3 } bias_term: true bias_filler { value: 2 }")) == [[3, 3, 3], [2, 2, 2]]
    assert filled(scale("filler { }")) == [[0, 0, 0]]  # a filler that says nothing is constant 0
    assert filled(bias()) == [[0, 0, 0]]
    assert filled(bias("filler { value: 4 }")) == [[4, 4, 4]]


@pytest.mark.parametrize("definition", [scale("bias_term: true"), bias()])
def test_batches_up_and_down_and_back(definition: str, device: str) -> None:
    run = run_layer(definition, [values(2, 3, 4, 5)], device=device)
    run.forward()
    first = run.top[0].data.copy()
    for shape in [(4, 3, 6, 7), (1, 3), (0, 3, 4, 5), (2, 3, 4, 5)]:
        run.bottom[0].reshape(*shape)
        run.bottom[0].data[...] = values(*shape)
        run.forward()
        run.backward()
        assert run.top[0].shape == shape
    assert np.array_equal(run.top[0].data, first)


@pytest.mark.parametrize(("layer", "kind"), [(scale, "scale"), (bias, "bias")])
def test_errors(layer, kind: str, device: str) -> None:
    x = values(2, 3, 4, 5)
    past = rf"{kind} blob's shape extends past bottom\[0\]'s shape when applied starting with bottom\[0\] axis = 2"
    with pytest.raises(ShapeError, match=past):
        run_layer(layer("axis: 2 num_axes: 3"), [x], device=device)
    with pytest.raises(ShapeError, match=past):
        run_layer(layer("axis: 2"), [x, values(4, 5, 6)], device=device)
    with pytest.raises(ShapeError, match="num_axes must be non-negative, or -1"):
        run_layer(layer("num_axes: -2"), [x], device=device)
    with pytest.raises(ShapeError, match="axis 4 is out of range"):
        run_layer(layer("axis: 4"), [x], device=device)
    mismatch = rf"dimension mismatch between bottom\[0\]->shape\(2\) and {kind}->shape\(1\): 4 against 5"
    with pytest.raises(ShapeError, match=mismatch):
        run_layer(layer(), [x, values(3, 5)], device=device)
    with pytest.raises(BlobCountError, match=r"takes at most 2 bottom blob\(s\)"):
        run_layer(layer(), [x, x, x], device=device)
