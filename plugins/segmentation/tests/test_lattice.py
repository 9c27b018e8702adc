"""The permutohedral lattice: beside a Gaussian filter over all pairs, its transpose, and its kernels beside NumPy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bicerin.device import get_device
from bicerin.errors import LayerError
from bicerin.testing import run_layer
from bicerin_segmentation import permutohedral_kernels as kernels
from bicerin_segmentation.lattice import Lattice, bilateral_features, grid_features

random = np.random.default_rng(7)


def host_lattice(features: np.ndarray) -> Lattice:
    return Lattice(
        get_device("cpu"), SimpleNamespace(simplices=kernels.simplices, blur=kernels.blur), features, np.float64
    )


def exact(features: np.ndarray, x: np.ndarray) -> np.ndarray:
    apart = ((features[:, None].astype(np.float64) - features[None]) ** 2).sum(axis=-1)
    weights = np.exp(-apart / 2)
    return np.asarray(x @ weights / weights.sum(axis=0))


def scene(height: int, width: int) -> np.ndarray:
    """Two halves with a noisy edge between them."""
    image = np.where(np.arange(width) < width // 2, 60, 180) + random.normal(0, 5, (3, height, width))
    return np.asarray(image)


@pytest.mark.parametrize("theta", [1.5, 3, 6])
def test_of_places(theta: float) -> None:
    features = grid_features(np, 20, 24, theta)
    x = (np.arange(24) < 11).astype(float) * np.ones((20, 1))
    x = np.stack([x, random.uniform(size=x.shape)]).reshape(2, -1)
    found, wanted = host_lattice(features).filter(x), exact(features, x)
    # The lattice's kernel is the Gaussian's within a few per cent, on a plane.
    assert np.abs(found - wanted).max() < 0.06
    assert np.abs(found - wanted).mean() < 0.02


def test_of_places_and_values() -> None:
    features = bilateral_features(np, scene(16, 18), 8, 20)
    label = (np.arange(18) < 9).astype(float) + random.normal(0, 0.3, (16, 18))
    x = label.reshape(1, -1)
    found, wanted = host_lattice(features).filter(x), exact(features, x)
    assert np.abs(found - wanted).mean() < 0.03
    # The edge stays, the noise goes.
    found = found.reshape(16, 18)
    assert np.abs(found[:, :9] - 1).max() < 0.15 and np.abs(found[:, 9:]).max() < 0.15


def test_ones_stay() -> None:
    features = random.normal(size=(50, 4)).astype(np.float32)
    assert np.allclose(host_lattice(features).filter(np.ones((1, 50))), 1, rtol=1e-12)


def test_the_transpose() -> None:
    """<K x, y> = <x, K^T y>."""
    lattice = host_lattice((3 * random.normal(size=(60, 5))).astype(np.float32))
    x, y = random.normal(size=(2, 11, 60))
    assert np.allclose((lattice.filter(x) * y).sum(), (x * lattice.filter_backward(y)).sum(), rtol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 9])
def test_the_kernels_and_numpy(d: int) -> None:
    """Simplices to the bit, ties included, since what is found decides what is blurred."""
    features = (4 * random.normal(size=(3000, d))).astype(np.float32)
    features[:500] = np.round(features[:500])
    features[0] = 0
    made = []
    for form in (kernels.simplices, lambda *arguments: kernels.simplices_array(np, *arguments)):
        keys, weights = np.empty((3000, d + 1, d), np.int32), np.empty((3000, d + 1), np.float32)
        form(features, keys, weights)
        made.append((keys, weights))
    assert np.array_equal(made[0][0], made[1][0]) and np.array_equal(made[0][1], made[1][1])
    weights = made[0][1]
    assert weights.min() > -1e-5 and np.allclose(weights.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("backward", [False, True])
def test_the_blur_and_numpy(backward: bool) -> None:
    corners, beside = random.integers(0, 40, (90, 4)), random.integers(0, 41, (4, 40, 2))
    weights, x = random.uniform(size=(90, 4)), random.normal(size=(11, 90))
    made = []
    for form in (kernels.blur, kernels.blur_reference):
        y = np.empty_like(x)
        form(x, corners.astype(np.int32), weights, beside.astype(np.int32), backward, y)
        made.append(y)
    assert np.allclose(made[0], made[1], rtol=1e-12)


@pytest.mark.parametrize("value", [1e30, np.nan, np.inf])
def test_pictures_that_cannot_be(value: float, device: str) -> None:
    picture = np.zeros((1, 3, 4, 4))
    picture[0, 1, 2, 2] = value
    run = run_layer(
        'type: "MultiStageMeanfield" multi_stage_meanfield_param { theta_alpha: 1 theta_beta: 1 theta_gamma: 1 '
        "num_iterations: 2 }",
        [np.zeros((1, 2, 4, 4))] * 2 + [picture],
        device=device,
    )
    with pytest.raises(LayerError, match="too far apart for a lattice, or not finite"):
        run.forward()
