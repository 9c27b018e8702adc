"""SPP against the bins of its definition, its gradient and its checks."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import ShapeError
from bicerin.testing import check_gradient, run_layer


def spp(options: str) -> str:
    return f'type: "SPP" spp_param {{ {options} }}'


def distinct(*shape: int) -> np.ndarray:
    return (np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape) + 1) * 0.01


@pytest.mark.parametrize("shape", [(2, 2, 9, 8), (1, 3, 4, 6), (0, 2, 8, 8)])
def test_bins(shape: tuple[int, ...], device: str) -> None:
    images = distinct(*shape)
    run = run_layer(spp("pyramid_height: 3"), [images], dtype=np.float64, device=device)
    run.forward()
    expected = []
    for bins in (1, 2, 4):
        sizes = [-(-length // bins) for length in shape[2:]]
        starts = [-((size * bins - length + 1) // 2) for size, length in zip(sizes, shape[2:], strict=True)]
        for channel in range(shape[1]):
            for i, j in np.ndindex(bins, bins):
                top, left = starts[0] + i * sizes[0], starts[1] + j * sizes[1]
                box = images[:, channel, max(top, 0) : top + sizes[0], max(left, 0) : left + sizes[1]]
                expected.append(box.max(axis=(1, 2)))
    assert np.array_equal(run.top[0].data, np.stack(expected, axis=1))


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize(('pool', 'options', 'shape'), [
    ("MAX", "pyramid_height: 1", (2, 2, 3, 4)),
    ("MAX", "pyramid_height: 3", (2, 2, 9, 8)),
    ("AVE", "pyramid_height: 2", (1, 2, 5, 7)),
    ("STOCHASTIC", "pyramid_height: 3", (1, 2, 4, 8)),
])  # fmt: skip
def test_gradient(pool: str, options: str, shape: tuple[int, ...], phase: str, device: str) -> None:
    check_gradient(spp(f"pool: {pool} {options}"), [distinct(*shape)], phase=phase, reseed=True, device=device)


def test_length_does_not_depend_on_the_size(device: str) -> None:
    run = run_layer(spp("pyramid_height: 2"), [distinct(2, 3, 4, 4)], device=device)
    for size in [(6, 8), (11, 7), (2, 2)]:
        run.bottom[0].reshape(1, 3, *size)
        run.forward()
        assert run.top[0].shape == (1, 15)
        run.backward()


def test_one_level_stays_a_plane(device: str) -> None:
    assert run_layer(spp("pyramid_height: 1"), [distinct(2, 3, 4, 4)], device=device).top[0].shape == (2, 3, 1, 1)


@pytest.mark.parametrize(('options', 'shape', 'message'), [
    ("", (1, 1, 4, 4), "pyramid_height must be at least 1"),
    ("pyramid_height: 2", (1, 4, 4), "Input must have 4 axes"),
    ("pyramid_height: 2", (1, 1, 0, 4), "Input dimensions cannot be zero"),
    ("pyramid_height: 3", (1, 1, 5, 8), "5 x 8 does not divide into 4 x 4 bins"),
    ("pyramid_height: 4294967295", (1, 1, 16, 16), "16 x 16 does not divide into 32 x 32 bins"),
    ("pyramid_height: 2 pool: STOCHASTIC", (1, 1, 5, 8), "Padding implemented only for average and max pooling"),
])  # fmt: skip
def test_errors(options: str, shape: tuple[int, ...], message: str, device: str) -> None:
    with pytest.raises(ShapeError, match=message):
        run_layer(spp(options), [np.zeros(shape)], device=device)
