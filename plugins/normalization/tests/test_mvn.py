"""MVN against its definition and its checks."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import ShapeError
from bicerin.testing import run_layer


def mvn(options: str) -> str:
    return f'type: "MVN" mvn_param {{ {options} }}'


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 2, shape)


CASES = pytest.mark.parametrize(("options", "shape", "axes"), [
    ("", (2, 3, 4, 5), (2, 3)),
    ("across_channels: true", (2, 3, 4, 5), (1, 2, 3)),
    ("normalize_variance: false", (2, 3, 4), (2,)),
    ("across_channels: true normalize_variance: false", (3, 4), (1,)),
])  # fmt: skip


@CASES
@pytest.mark.parametrize("in_place", [False, True])
def test_definition(options: str, shape: tuple[int, ...], axes: tuple[int, ...], in_place: bool, device: str) -> None:
    x = values(*shape)
    expected = x - x.mean(axis=axes, keepdims=True)
    if "variance" not in options:
        expected /= x.std(axis=axes, keepdims=True) + 1e-9
    run = run_layer(mvn(options), [x], dtype=np.float64, in_place=in_place, device=device)
    run.forward()
    assert run.top[0].shape == (*shape, 1, 1)[:4]
    assert run.top[0].data.reshape(shape) == pytest.approx(expected)


@pytest.mark.parametrize("options", ["", "normalize_variance: false"])
def test_gradient_in_place(options: str, device: str) -> None:
    x, diff = values(2, 3, 4, 5), values(2, 3, 4, 5)[::-1]
    gradients = []
    for in_place in (False, True):
        run = run_layer(mvn(options), [x], dtype=np.float64, in_place=in_place, device=device)
        run.forward()
        run.top[0].diff[...] = diff
        run.backward()
        gradients.append(run.bottom[0].diff.copy())
    assert gradients[0] == pytest.approx(gradients[1])


def test_eps_is_added_to_the_deviation(device: str) -> None:
    x = values(1, 1, 2, 3)
    run = run_layer(mvn("eps: 0.5"), [x], dtype=np.float64, device=device)
    run.forward()
    assert run.top[0].data == pytest.approx((x - x.mean()) / (x.std() + 0.5))


def test_a_flat_plane_becomes_zeros(device: str) -> None:
    run = run_layer(mvn(""), [np.ones((1, 1, 2, 2))], device=device)
    run.forward()
    assert (run.top[0].data == 0).all()


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (1, 3, 2, 2), (2, 3, 0, 2)])
def test_small_batches(shape: tuple[int, ...], device: str) -> None:
    run = run_layer(mvn(""), [values(*shape)], device=device)
    run.forward()
    run.backward()
    assert run.top[0].shape == shape


def test_errors(device: str) -> None:
    with pytest.raises(ShapeError, match="up to 4 axes"):
        run_layer(mvn(""), [values(1, 2, 3, 4, 5)], device=device)
