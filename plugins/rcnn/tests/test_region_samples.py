"""ROIAlign and PSROIAlign against loops that spell their definitions out, and against torchvision."""

from __future__ import annotations

from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import assert_close, run_layer
from bicerin_rcnn import region_samples_kernels

REGIONS = np.array([
    [0, 3.2, 4.1, 30.7, 26.4], [1, -8, -3, 20, 21], [1, 10.5, 7.5, 60, 52], [0, 22, 30, 12, 18], [1, 70, 70, 90, 95],
])  # fmt: skip
"""In images of 44 x 36 pixels: inside, over the upper left, over the lower right, turned round, outside."""


def interpolate(plane: np.ndarray, y: float, x: float) -> float:
    """The value between four pixels; beyond the outermost ones, theirs."""
    y, x = (min(max(place, 0), size - 1) for place, size in zip((y, x), plane.shape, strict=True))
    top, left = floor(y), floor(x)
    bottom, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
    upper = plane[top, left] * (1 - x + left) + plane[top, right] * (x - left)
    lower = plane[bottom, left] * (1 - x + left) + plane[bottom, right] * (x - left)
    return float(upper * (1 - y + top) + lower * (y - top))


def corners(plane: np.ndarray, region: np.ndarray, scale: float, pad: float, bins: tuple[int, int]) -> np.ndarray:
    """Cascade R-CNN's: the values at the corners of bins."""
    x1, y1, x2, y2 = region
    pad_x, pad_y = (x2 - x1 + 1) * pad, (y2 - y1 + 1) * pad
    left, top = (x1 - pad_x) * scale - 0.5, (y1 - pad_y) * scale - 0.5
    width, height = (x2 - x1 + 2 * pad_x) * scale, (y2 - y1 + 2 * pad_y) * scale
    top_values = np.zeros((bins[0] + 1, bins[1] + 1))
    for i, j in np.ndindex(top_values.shape):
        y, x = top + i * height / bins[0], left + j * width / bins[1]
        inside = -0.5 <= y <= plane.shape[0] - 0.5 and -0.5 <= x <= plane.shape[1] - 0.5
        if inside and width > 0 and height > 0:
            top_values[i, j] = interpolate(plane, y, x)
    return top_values


def averages(plane: np.ndarray, region: np.ndarray, scale: float, ratio: int, bins: tuple[int, int]) -> np.ndarray:
    """Mask R-CNN's: means of samples of bins."""
    x1, y1, x2, y2 = region * scale
    sizes = max(y2 - y1, 1) / bins[0], max(x2 - x1, 1) / bins[1]
    number = [ratio if ratio > 0 else ceil(size) for size in sizes]
    result = np.zeros(bins)
    for i, j in np.ndindex(bins):
        for a, b in np.ndindex(*number):
            y = y1 + (i + (a + 0.5) / number[0]) * sizes[0]
            x = x1 + (j + (b + 0.5) / number[1]) * sizes[1]
            if -1 <= y <= plane.shape[0] and -1 <= x <= plane.shape[1]:
                result[i, j] += interpolate(plane, y, x) / (number[0] * number[1])
    return result


@pytest.mark.parametrize(("options", "definition"), [
    ("roi_pooling_param { pooled_h: 3 pooled_w: 4 spatial_scale: 0.25 samples: CORNERS }",
     lambda plane, region: corners(plane, region, 0.25, 0, (3, 4))),
    ("roi_pooling_param { pooled_h: 2 pooled_w: 1 spatial_scale: 0.25 samples: CORNERS pad_ratio: 0.5 }",
     lambda plane, region: corners(plane, region, 0.25, 0.5, (2, 1))),
    ("roi_align_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.25 }",
     lambda plane, region: averages(plane, region, 0.25, 0, (3, 2))),
    ("roi_align_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 sampling_ratio: 3 }",
     lambda plane, region: averages(plane, region, 0.5, 3, (2, 2))),
])  # fmt: skip
def test_definitions(options: str, definition) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 9, 11))
    run = run_layer(f'type: "ROIAlign" {options}', [maps, REGIONS], dtype=np.float64)
    run.forward()
    expected = [[definition(plane, region[1:]) for plane in maps[int(region[0])]] for region in REGIONS]
    assert np.allclose(run.top[0].data, expected, rtol=1e-9, atol=1e-12)


def test_a_gradient_is_that_of_the_samples() -> None:
    """A dot product with the forward pass: what is linear and what it is transposed to."""
    random = np.random.default_rng(1)
    maps, other = random.normal(size=(2, 2, 18, 7, 8))
    text = 'type: "PSROIAlign" psroi_align_param { spatial_scale: 0.25 output_dim: 2 group_size: 3 sample_num: 3 }'
    run = run_layer(text, [maps, REGIONS], dtype=np.float64)
    run.forward()
    run.top[0].diff[...] = weights = random.normal(size=run.top[0].shape)
    run.backward([True, False])
    gradient = run.bottom[0].diff.copy()
    run.bottom[0].data[...] = other
    run.forward()
    assert np.isclose((gradient * other).sum(), (run.top[0].data * weights).sum())
    assert np.abs(gradient).max() > 0.1


def test_kernels_equal_their_references() -> None:
    random = np.random.default_rng(3)
    maps, image = random.normal(size=(2, 3, 2, 2, 6, 7)), random.integers(0, 2, 5).astype(np.int32)
    axes = [
        (random.integers(0, size, (5, 2, 3)).astype(np.int32), random.normal(size=(5, 2, 3)) * (random.random(3) < 0.8))
        for size in (6, 7)
    ]
    outcomes = []
    for suffix in ("", "_reference"):
        y, diff = np.empty((5, 3, 2, 2)), np.full(maps.shape, 7.0)
        getattr(region_samples_kernels, f"sample{suffix}")(maps, image, *axes, y)
        getattr(region_samples_kernels, f"sample_backward{suffix}")(y, image, *axes, diff)
        outcomes.append((y, diff))
    for one, other in zip(*outcomes, strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-12)


ROI = "roi_pooling_param { pooled_h: 2 pooled_w: 2 "


@pytest.mark.parametrize(("layer", "options", "inputs", "error", "words"), [
    ("ROIAlign", "", [(1, 1, 4, 4), (1, 5)], ShapeError, "pooled_h must be > 0"),
    ("ROIAlign", ROI + "spatial_scale: -1 }", [(1, 1, 4, 4), (1, 5)], ShapeError, "must be > 0, not -1"),
    ("ROIAlign", ROI + "bi_type: 2 }", [(1, 1, 4, 4), (1, 5)], LayerError, "0 .linear. or 1 .cubic., not 2"),
    ("ROIAlign", ROI + "bi_type: 0 samples: CORNERS }", [(1, 1, 4, 4), (1, 5)], LayerError, "CORNERS are linear"),
    ("ROIAlign", ROI + "is_multi_interpolate: true }", [(1, 1, 4, 4), (1, 5)], LayerError, "greatest of four samples"),
    ("ROIAlign", ROI + "pooled_size: 2 }", [(1, 1, 4, 4), (1, 5)], ShapeError, "not pooled_size"),
    ("ROIAlign", ROI + "pad_ratio: -1 }", [(1, 1, 4, 4), (1, 5)], LayerError, "pad_ratio must be 0 or more, not -1"),
    ("ROIAlign", ROI + "} roi_align_param { pooled_h: 1 }", [(1, 1, 4, 4), (1, 5)], LayerError, "different layers"),
    ("ROIAlign", ROI + "}", [(1, 1, 4, 4), (1, 4)], ShapeError, "must be == 5, not 4"),
    ("ROIAlign", ROI + "}", [(1, 1, 0, 4), (1, 5)], ShapeError, "have no pixels"),
    ("PSROIAlign", "", [(1, 4, 4, 4), (1, 5)], LayerError, "spatial_scale must be > 0"),
    ("PSROIAlign", "psroi_align_param { spatial_scale: 1 output_dim: 1 group_size: 2 sample_num: 0 }",
     [(1, 4, 4, 4), (1, 5)], LayerError, "sample_num must be > 0"),
    ("PSROIAlign", "psroi_align_param { spatial_scale: 1 output_dim: 2 group_size: 3 }", [(1, 4, 4, 4), (1, 5)],
     ShapeError, "4 against 18"),
    ("ROIPooling", ROI + "bi_type: 1 }", [(1, 1, 4, 4), (1, 5)], LayerError, "bi_type is of ROIAlign"),
    ("ROIPooling", ROI + "spatial_scale: -1 pad_ratio: 1 }", [(1, 1, 4, 4), (1, 5)], LayerError, "pad_ratio must be"),
])  # fmt: skip
def test_errors(layer: str, options: str, inputs: list[tuple[int, ...]], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(f'type: "{layer}" {options}', [np.zeros(shape) for shape in inputs])


def test_too_many_samples_are_refused() -> None:
    run = run_layer(
        'type: "ROIAlign" roi_align_param { pooled_h: 1 pooled_w: 1 }', [np.zeros((1, 1, 4, 4)), [[0, 0, 0, 9999, 1]]]
    )
    with pytest.raises(LayerError, match="a region has bins of 9999 pixels of the map"):
        run.forward()


@pytest.mark.parametrize(
    ("options", "warned"), [("", True), ("samples: CENTERS", False), ("bi_type: 0", False), ("samples: CORNERS", False)]
)
def test_nets_of_two_forks_are_warned_of(options: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    run_layer(f'name: "align" type: "ROIAlign" {ROI} {options} }}', [np.zeros((1, 1, 4, 4)), np.zeros((1, 5))])
    assert ('layer "align": ROIAlign samples the middles of bins' in caplog.text) is warned


def test_padding_grows_regions_in_pixels_of_the_image() -> None:
    """(x2 - x1 + 1) / 4 = 2 on either side of columns 8 to 15, scaled by 1 / 4: columns 2 (1.5 rounded) to 4."""
    maps = np.arange(8.0).reshape(1, 1, 1, 8)
    pooled = []
    for sign in (1, -1):
        run = run_layer(
            'type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 1 spatial_scale: 0.25 pad_ratio: 0.25 }',
            [maps * sign, [[0, 8, 0, 15, 0]]],
        )
        run.forward()
        pooled.append(run.top[0].data.item())
    assert pooled == [4, -2]


def test_torchvision() -> None:
    """torchvision 0.29.1's roi_align (aligned=False), forward and backward, on PyTorch 2.14.1 in float64 on the CPU.

    Keys: `maps`, `regions`, and for each case the number n, `y{n}`, `y_diff{n}`, `maps_diff{n}`.
    """
    with np.load(Path(__file__).parent / "recorded" / "torchvision" / "roi_align.npz") as file:
        values = dict(file)
    cases = [
        "pooled_h: 3 pooled_w: 2 spatial_scale: 0.25",
        "pooled_h: 2 pooled_w: 4 spatial_scale: 0.25 sampling_ratio: 2",
        "pooled_h: 7 pooled_w: 7 spatial_scale: 0.5 sampling_ratio: 1",
    ]
    for number, options in enumerate(cases):
        for dtype in (np.float32, np.float64):
            run = run_layer(
                f'type: "ROIAlign" roi_align_param {{ {options} }}', [values["maps"], values["regions"]], dtype=dtype
            )
            run.forward()
            assert_close(run.top[0].data, values[f"y{number}"], 1e-4, options)
            run.top[0].diff[...] = values[f"y_diff{number}"]
            run.backward([True, False])
            assert_close(run.bottom[0].diff, values[f"maps_diff{number}"], 1e-4, options)
