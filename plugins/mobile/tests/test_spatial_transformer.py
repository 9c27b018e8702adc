"""SpatialTransformer, against a loop over pixels; fixed numbers, a transformation that changes nothing, errors."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer

random = np.random.default_rng(2)
X = random.normal(size=(2, 3, 4, 5))
IDENTITY = np.array([1.0, 0, 0, 0, 1, 0])


def sampled(x: np.ndarray, theta: np.ndarray, height: int, width: int) -> np.ndarray:
    result = np.zeros((*x.shape[:2], height, width))
    for n, i, j in np.ndindex(len(x), height, width):
        place = theta[n].reshape(2, 3) @ [2 * i / height - 1, 2 * j / width - 1, 1]
        row, column = ((p + 1) / 2 * length for p, length in zip(place, x.shape[2:], strict=True))
        for a in (floor(row), floor(row) + 1):
            for b in (floor(column), floor(column) + 1):
                if 0 <= a < x.shape[2] and 0 <= b < x.shape[3]:
                    result[n, :, i, j] += (1 - abs(row - a)) * (1 - abs(column - b)) * x[n, :, a, b]
    return result


@pytest.mark.parametrize(("options", "size"), [("", (4, 5)), ("st_param { output_H: 7 output_W: 3 }", (7, 3))])
def test_samples(options: str, size: tuple[int, int], device: str) -> None:
    theta = IDENTITY + random.uniform(-0.7, 0.7, (2, 6))
    run = run_layer(f'type: "SpatialTransformer" {options}', [X, theta], dtype=np.float64, device=device)
    run.forward()
    assert np.allclose(run.top[0].data, sampled(X, theta, *size))


def test_the_identity_changes_nothing(device: str) -> None:
    run = run_layer('type: "SpatialTransformer"', [X, np.tile(IDENTITY, (2, 1))], dtype=np.float64, device=device)
    run.forward()
    assert np.allclose(run.top[0].data, X)


def test_fixed_numbers(device: str) -> None:
    theta = IDENTITY + random.uniform(-0.5, 0.5, (2, 6))
    theta[:, [1, 5]] = 0.25, -0.5
    text = 'type: "SpatialTransformer" st_param { theta_1_2: 0.25 theta_2_3: -0.5 }'
    run = run_layer(text, [X, theta[:, [0, 2, 3, 4]]], dtype=np.float64, device=device)
    run.forward()
    assert np.allclose(run.top[0].data, sampled(X, theta, 4, 5))


def test_far_places_and_nan_are_0(device: str) -> None:
    theta = np.array([[1e30, 0, 0, 0, 1, 0], [np.nan, 0, 0, 0, 1, 0]])
    run = run_layer('type: "SpatialTransformer"', [X, theta], dtype=np.float64, device=device)
    run.forward()
    y = np.asarray(run.top[0].data)
    assert not y[1].any() and not np.delete(y[0], 2, axis=1).any()
    run.backward()
    assert not run.bottom[0].diff[1].any()


@pytest.mark.parametrize(("options", "shape", "error", "words"), [
    ("", (2, 5), ShapeError, "6 numbers"),
    ("", (3, 4), ShapeError, "6 numbers"),
    ("st_param { output_H: 0 }", (2, 6), ShapeError, "should be positive"),
    ('st_param { transform_type: "projective" }', (2, 6), LayerError, "affine"),
])  # fmt: skip
def test_errors(options: str, shape: tuple[int, ...], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(f'type: "SpatialTransformer" {options}', [X, np.ones(shape)])
