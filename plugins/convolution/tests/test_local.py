"""Local, against a loop over positions, and with equal weights against Convolution."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import ShapeError
from bicerin.testing import run_layer

random = np.random.default_rng(4)
X = random.normal(size=(2, 3, 6, 5))


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 1, 0), (2, 2, 1), (3, 2, 1)])
def test_each_position_has_weights_of_its_own(kernel: int, stride: int, pad: int, device: str) -> None:
    height, width = ((size + 2 * pad - kernel) // stride + 1 for size in (6, 5))
    weights = random.normal(size=(4, 1, 3 * kernel * kernel, height * width))
    bias = random.normal(size=(1, 1, 4, height * width))
    text = f'type: "Local" local_param {{ num_output: 4 kernel_size: {kernel} stride: {stride} pad: {pad} }}'
    run = run_layer(text, [X], parameters=[weights, bias], dtype=np.float64, device=device)
    run.forward()
    assert run.top[0].shape == (2, 4, height, width)
    padded = np.pad(X, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    y = np.asarray(run.top[0].data)
    for i, j in np.ndindex(height, width):
        patch = padded[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel].reshape(2, -1)
        expected = patch @ weights[:, 0, :, i * width + j].T + bias[0, 0, :, i * width + j]
        assert np.allclose(y[:, :, i, j], expected)


def test_equal_weights_are_a_convolution(device: str) -> None:
    kernels, bias = random.normal(size=(4, 3, 3, 3)), random.normal(size=4)
    shared = run_layer('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 pad: 1 }', [X],
                       parameters=[kernels, bias], dtype=np.float64, device=device)  # fmt: skip
    weights = np.repeat(kernels.reshape(4, 1, 27, 1), 30, axis=3)
    apart = run_layer('type: "Local" local_param { num_output: 4 kernel_size: 3 pad: 1 }', [X],
                      parameters=[weights, np.repeat(bias.reshape(1, 1, 4, 1), 30, axis=3)], dtype=np.float64,
                      device=device)  # fmt: skip
    y_diff = random.normal(size=(2, 4, 6, 5))
    for run in (shared, apart):
        run.forward()
        run.top[0].diff[...] = y_diff
        run.backward()
    assert np.allclose(apart.top[0].data, shared.top[0].data)
    assert np.allclose(apart.bottom[0].diff, shared.bottom[0].diff)
    assert np.allclose(apart.blobs[0].diff.sum(axis=3).reshape(4, 3, 3, 3), shared.blobs[0].diff)
    assert np.allclose(apart.blobs[1].diff.sum(axis=3).reshape(4), shared.blobs[1].diff)


@pytest.mark.parametrize(("options", "words"), [
    ("kernel_size: 3", "num_output"), ("num_output: 2", "kernel_size and stride"),
    ("num_output: 2 kernel_size: 9", "larger than the padded input"),
])  # fmt: skip
def test_errors(options: str, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        run_layer(f'type: "Local" local_param {{ {options} }}', [X])


def test_the_size_may_not_change() -> None:
    run = run_layer('type: "Local" local_param { num_output: 2 kernel_size: 3 }', [X])
    run.bottom[0].reshape(2, 3, 7, 5)
    with pytest.raises(ShapeError, match="weights for images"):
        run.forward()
