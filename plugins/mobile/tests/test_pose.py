"""ImResize, Nms and Maximum, against loops that follow their definitions pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer

random = np.random.default_rng(1)


def keys(distance: float) -> float:
    """The kernel of cubic convolution with a = -1/2."""
    d = abs(distance)
    if d <= 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def resized(plane: np.ndarray, height: int, width: int, *, padding: tuple[int, int] = (0, 0)) -> np.ndarray:
    down, right = padding
    inner = plane[down : plane.shape[0] - down, right : plane.shape[1] - right]
    result = np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        row, column = ((k + 0.5) * old / new - 0.5 for k, old, new in ((i, inner.shape[0], height),
                                                                      (j, inner.shape[1], width)))  # fmt: skip
        # Left of and above the first pixel, the polynomials of the first go on.
        r, c = max(int(row + 1e-5), 0), max(int(column + 1e-5), 0)
        for a in range(-1, 3):
            for b in range(-1, 3):
                pixel = inner[min(max(r + a, 0), inner.shape[0] - 1), min(max(c + b, 0), inner.shape[1] - 1)]
                result[i, j] += taps(row - r)[a + 1] * taps(column - c)[b + 1] * pixel
    return result


def taps(t: float) -> list[float]:
    if t >= 0:
        return [keys(t + 1), keys(t), keys(1 - t), keys(2 - t)]
    return [
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    ]


def test_imresize(device: str) -> None:
    x = random.normal(size=(1, 2, 5, 4))
    run = run_layer('type: "ImResize" imresize_param { factor: 3 }', [x], dtype=np.float64, device=device)
    run.forward()
    assert np.allclose(run.top[0].data, [[resized(plane, 15, 12) for plane in x[0]]])
    target = 'type: "ImResize" imresize_param { target_spatial_width: 3 target_spatial_height: 7 }'
    run = run_layer(target, [x], dtype=np.float64, device=device)
    run.forward()
    assert np.allclose(run.top[0].data, [[resized(plane, 7, 3) for plane in x[0]]])


def test_imresize_averages_scales_of_the_middle(device: str) -> None:
    """Scale 1 has floor(8 / 2 * 0.4) = 1 row and floor(11 // 2 * 0.4) = 2 columns less on each side."""
    x = random.normal(size=(2, 1, 8, 11))
    text = 'type: "ImResize" imresize_param { factor: 2 start_scale: 1 scale_gap: 0.4 }'
    run = run_layer(text, [x], dtype=np.float64, device=device)
    run.forward()
    expected = (resized(x[0, 0], 16, 22) + resized(x[1, 0], 16, 22, padding=(1, 2))) / 2
    assert run.top[0].shape == (1, 1, 16, 22) and np.allclose(run.top[0].data, expected)


def test_imresize_keeps_a_plane() -> None:
    """Cubic convolution is exact for what is linear, away from the borders."""
    x = (np.arange(9)[:, None] * 2.0 + np.arange(7)[None, :] * 3)[None, None]
    run = run_layer('type: "ImResize" imresize_param { factor: 2 }', [x], dtype=np.float64)
    run.forward()
    rows, columns = ((np.arange(2 * n) + 0.5) / 2 - 0.5 for n in (9, 7))
    expected = rows[:, None] * 2 + columns[None, :] * 3
    assert np.allclose(run.top[0].data[0, 0, 4:-4, 4:-4], expected[4:-4, 4:-4])


def peaks(plane: np.ndarray, threshold: float) -> list[tuple[float, float, float]]:
    found = []
    for i in range(1, plane.shape[0] - 1):
        for j in range(1, plane.shape[1] - 1):
            around = plane[i - 1 : i + 2, j - 1 : j + 2].copy()
            around[1, 1] = -np.inf
            if plane[i, j] > threshold and plane[i, j] > around.max():
                total = x = y = 0.0
                for r in range(max(i - 3, 1), min(i + 4, plane.shape[0])):
                    for c in range(max(j - 3, 1), min(j + 4, plane.shape[1])):
                        if plane[r, c] > 0:
                            total += plane[r, c]
                            x += c * plane[r, c]
                            y += r * plane[r, c]
                found.append((x / total, y / total, plane[i, j]))
    return found


@pytest.mark.parametrize("limit", [2, 40])
def test_nms(limit: int, device: str) -> None:
    x = random.normal(size=(2, 4, 13, 17))
    text = f'type: "Nms" nms_param {{ threshold: 0.3 max_peaks: {limit} num_parts: 3 }}'
    run = run_layer(text, [x], dtype=np.float64, device=device)
    run.forward()
    y = np.asarray(run.top[0].data)
    assert y.shape == (2, 3, limit + 1, 3)
    for n, c in np.ndindex(2, 3):
        found = peaks(x[n, c], 0.3)
        assert y[n, c, 0].tolist() == [len(found), 0, 0] and 2 < len(found) < 40
        kept = found[:limit]
        assert np.allclose(y[n, c, 1 : len(kept) + 1], kept)
        assert not y[n, c, len(kept) + 1 :].any()


def test_maximum(device: str) -> None:
    x = random.normal(size=(2, 2, 4, 5))
    x[0, 1] = -1
    x[1, 0, 2, 3] = x[1, 0, 3, 1] = 7
    run = run_layer('type: "Maximum"', [x], dtype=np.float64, device=device)
    run.forward()
    y = np.asarray(run.top[0].data)
    for n, c in ((0, 0), (1, 1)):
        i, j = np.unravel_index(x[n, c].argmax(), (4, 5))
        assert y[n, c, 0].tolist() == [j, i, x[n, c].max()]
    assert y[1, 0, 0].tolist() == [3, 2, 7]
    assert y[0, 1, 0].tolist() == [0, 0, np.finfo(np.float64).tiny]


@pytest.mark.parametrize(("text", "shape", "error", "words"), [
    ('type: "ImResize" imresize_param { factor: 0.1 }', (1, 1, 4, 4), ShapeError, "should be positive"),
    ('type: "ImResize" imresize_param { scale_gap: 2 }', (2, 1, 4, 4), ShapeError, "leaves"),
    ('type: "ImResize" imresize_param { start_scale: 2 }', (1, 1, 4, 4), ShapeError, "leaves"),
    ('type: "Nms"', (1, 3, 4, 4), ShapeError, "3 maps for 15 parts"),
    ('type: "Nms" nms_param { num_peak: 30 }', (1, 15, 4, 4), LayerError, "older Nms"),
    ('type: "Maximum"', (1, 3, 0, 4), ShapeError, "no pixels"),
])  # fmt: skip
def test_errors(text: str, shape: tuple[int, ...], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(text, [np.ones(shape)])
