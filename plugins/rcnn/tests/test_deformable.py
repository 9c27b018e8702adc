"""The deformable layers against torchvision, a plain convolution and loops that spell their definitions out."""

from __future__ import annotations

from math import floor
from pathlib import Path

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import assert_close, run_layer
from bicerin_rcnn import deformable_kernels, deformable_regions_kernels

RECORDED = Path(__file__).parent / "recorded" / "torchvision"

CASES = [
    "num_output: 3 kernel_size: 3 pad: 1 deformable_group: 1",
    "num_output: 4 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0 dilation: [2, 1] group: 2 "
    "deformable_group: 2",
    "num_output: 2 kernel_size: 1 bias_term: false",
]


def layer(options: str) -> str:
    return f'type: "DeformableConvolution" deformable_convolution_param {{ {options} }}'


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", range(3))
def test_deform_conv2d_of_torchvision(number: int, dtype: type) -> None:
    """deform_conv2d of torchvision 0.29.1 on PyTorch 2.14.1 in float64, on the CPU, forward and backward.

    All places lie within the map, where its rule is that of the forks. Keys: `x0`, `offset0`, `weight0`, `bias0`, `y0`,
    `y_diff0`, and the gradients `x_diff0` and so on; so also for the cases 1 and 2.
    """
    with np.load(RECORDED / "deform_conv.npz") as file:
        values = {key.removesuffix(str(number)): file[key] for key in file.files if key.endswith(str(number))}
    names = [name for name in ("weight", "bias") if name in values]
    parameters = [values[name] for name in names]
    run = run_layer(layer(CASES[number]), [values["x"], values["offset"]], parameters=parameters, dtype=dtype)
    run.forward()
    assert_close(run.top[0].data, values["y"], 1e-4, "y")
    run.top[0].diff[...] = values["y_diff"]
    run.backward()
    for name, blob in zip(["x", "offset", *names], [*run.bottom, *run.blobs], strict=True):
        assert_close(blob.diff, values[f"{name}_diff"], 1e-4, name)


def read(plane: np.ndarray, y: float, x: float) -> float:
    """The forks' value at a place: 0 outside, and beyond the last row or column its own."""
    height, width = plane.shape
    if not (0 <= y < height and 0 <= x < width):
        return 0.0
    y, x = min(y, height - 1), min(x, width - 1)
    top, left = floor(y), floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = (1 - x + left) * plane[top, left] + (x - left) * plane[top, right]
    lower = (1 - x + left) * plane[bottom, left] + (x - left) * plane[bottom, right]
    return float((1 - y + top) * upper + (y - top) * lower)


def test_definition() -> None:
    """Places far outside, at the edges and between pixels."""
    random = np.random.default_rng(2)
    x, offsets = random.normal(size=(2, 2, 4, 5)), random.normal(size=(2, 16, 2, 3)) * 3
    weights = random.normal(size=(3, 2, 2, 2))
    text = layer("num_output: 3 kernel_size: 2 stride: 2 pad: 1 dilation: 2 deformable_group: 2 bias_term: false")
    run = run_layer(text, [x, offsets], parameters=[weights], dtype=np.float64)
    run.forward()
    expected = np.zeros(run.top[0].shape)
    for n, m, i, j, c, a, b in np.ndindex(*expected.shape, *weights.shape[1:]):
        down, right = offsets[n, c * 8 + 4 * a + 2 * b : c * 8 + 4 * a + 2 * b + 2, i, j]
        value = read(x[n, c], 2 * i - 1 + 2 * a + down, 2 * j - 1 + 2 * b + right)
        expected[n, m, i, j] += weights[m, c, a, b] * value
    assert np.allclose(run.top[0].data, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_offsets_it_is_a_convolution(dtype: type) -> None:
    random = np.random.default_rng(4)
    x, weights, bias = random.normal(size=(2, 4, 6, 7)), random.normal(size=(6, 2, 3, 3)), random.normal(size=6)
    options = "num_output: 6 kernel_size: 3 stride: 2 pad: 1 group: 2"
    plain = run_layer(
        f'type: "Convolution" convolution_param {{ {options} }}', [x], parameters=[weights, bias], dtype=dtype
    )
    moved = run_layer(
        layer(options + " deformable_group: 1"), [x, np.zeros((2, 18, 3, 4))], parameters=[weights, bias], dtype=dtype
    )
    for run in (plain, moved):
        run.forward()
        run.top[0].diff[...] = np.linspace(-1, 1, run.top[0].count).reshape(run.top[0].shape)
        run.backward()
    assert_close(moved.top[0].data, plain.top[0].data, 1e-5, "y")
    for one, other in zip([moved.bottom[0], *moved.blobs], [plain.bottom[0], *plain.blobs], strict=True):
        assert_close(one.diff, other.diff, 1e-4, "gradient")


def test_kernels_equal_their_references() -> None:
    random = np.random.default_rng(3)
    x, offsets = random.normal(size=(2, 4, 5, 6)), random.normal(size=(2, 2, 6, 2, 3, 4)) * 2
    windows = (2, 2, 1, 1, 0, 1, 2)
    outcomes = []
    for suffix in ("", "_reference"):
        columns, x_diff, offset_diff = np.empty((2, 4, 6, 3, 4)), np.full(x.shape, 7.0), np.full(offsets.shape, 7.0)
        getattr(deformable_kernels, f"unfold{suffix}")(x, offsets, windows, columns)
        getattr(deformable_kernels, f"fold{suffix}")(columns, offsets, windows, x_diff)
        getattr(deformable_kernels, f"offset_gradient{suffix}")(columns, x, offsets, windows, offset_diff)
        outcomes.append((columns, x_diff, offset_diff))
    for one, other in zip(*outcomes, strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("options", "offsets", "error", "words"), [
    ("kernel_size: 1 deformable_group: 1", (1, 2, 3, 3), ShapeError, "num_output must be at least 1"),
    ("num_output: 2 kernel_size: 1", (1, 2, 3, 3), ShapeError, "a multiple of deformable_group"),
    ("num_output: 2 kernel_size: 1 group: 4", (1, 2, 3, 3), ShapeError, "must be a multiple of group"),
    ("num_output: 3 kernel_size: 1 group: 2 deformable_group: 1", (1, 2, 3, 3), ShapeError, r"num_output \(3\)"),
    ("num_output: 2 kernel_size: 3 deformable_group: 1", (1, 18, 3, 3), ShapeError, r"\(1, 18, 1, 1\), not"),
    ("num_output: 2 kernel_size: 1 axis: 2 deformable_group: 1", (1, 2, 3, 3), LayerError, "axis must be 1"),
])  # fmt: skip
def test_errors(options: str, offsets: tuple[int, ...], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(layer(options), [np.zeros((1, 6, 3, 3)), np.zeros(offsets)])


REGIONS = np.array([[0, 3, 4, 30, 26], [1, -8, -3, 20, 21], [1, 10.5, 7.5, 60, 52], [0, 22, 30, 12, 18]])


def test_definition_of_moved_regions() -> None:
    """Regions inside, over two corners and turned round; offsets of two classes, in parts of 2 x 2."""
    random = np.random.default_rng(5)
    maps, offsets = random.normal(size=(2, 4 * 9, 9, 11)), random.normal(size=(4, 4, 2, 2))
    run = run_layer(
        'type: "DeformablePSROIPooling" deformable_psroi_pooling_param { spatial_scale: 0.25 output_dim: 4 '
        "group_size: 3 part_size: 2 sample_per_part: 2 trans_std: 0.25 }",
        [maps, REGIONS, offsets],
        dtype=np.float64,
    )
    run.forward()
    expected = np.zeros((4, 4, 3, 3))
    for r, d, i, j in np.ndindex(expected.shape):
        x1, y1, x2, y2 = np.floor(REGIONS[r, 1:] + 0.5)
        left, top = x1 / 4 - 0.5, y1 / 4 - 0.5
        width, height = max((x2 + 1) / 4 - 0.5 - left, 0.1), max((y2 + 1) / 4 - 0.5 - top, 0.1)
        right, down = offsets[r, d // 2 * 2 : d // 2 * 2 + 2, i * 2 // 3, j * 2 // 3] / 4
        values = []
        for a, b in np.ndindex(2, 2):
            y = top + (i / 3 + down) * height + a * height / 6
            x = left + (j / 3 + right) * width + b * width / 6
            if -0.5 <= y <= 8.5 and -0.5 <= x <= 10.5:
                plane = maps[int(REGIONS[r, 0]), (d * 3 + i) * 3 + j]
                values.append(read(plane, min(max(y, 0), 8), min(max(x, 0), 10)))
        expected[r, d, i, j] = np.mean(values) if values else 0
    assert np.allclose(run.top[0].data, expected, rtol=1e-10, atol=1e-12)


def test_kernels_of_regions_equal_their_references() -> None:
    random = np.random.default_rng(6)
    maps, offsets = random.normal(size=(2, 4, 3, 3, 6, 7)), random.normal(size=(3, 2, 2, 2, 2)) * 0.3
    image, frames = np.array([0, 1, 1], np.int32), np.array([[0.5, 1, 4, 5], [-2, -1, 3, 3], [4, 5, 6, 0.1]])
    outcomes = []
    for suffix in ("", "_reference"):
        y, numbers, maps_diff, offset_diff = (np.full(s, 7.0) for s in (*[(3, 4, 3, 3)] * 2, maps.shape, offsets.shape))
        given = (image, frames, offsets, 2)
        getattr(deformable_regions_kernels, f"pool{suffix}")(maps, *given, y, numbers)
        getattr(deformable_regions_kernels, f"pool_backward{suffix}")(y, *given, maps_diff)
        getattr(deformable_regions_kernels, f"pool_offset_gradient{suffix}")(y, maps, *given, offset_diff)
        outcomes.append((y, numbers, maps_diff, offset_diff))
    for one, other in zip(*outcomes, strict=True):
        assert np.allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("options", "bottoms", "error", "words"), [
    ("spatial_scale: 1 output_dim: 1 group_size: 2", [(1, 4, 5, 5), (1, 5)], LayerError, "a third bottom"),
    ("spatial_scale: 1 output_dim: 1 group_size: 2 no_trans: true", [(1, 4, 5, 5), (1, 5), (1, 2, 2, 2)], LayerError,
     "and not both"),
    ("output_dim: 1 group_size: 2 no_trans: true", [(1, 4, 5, 5), (1, 5)], LayerError, "spatial_scale must be > 0"),
    ("spatial_scale: 1 output_dim: 3 group_size: 1", [(1, 3, 5, 5), (1, 5), (1, 4, 1, 1)], ShapeError, "that divide"),
])  # fmt: skip
def test_errors_of_moved_regions(options: str, bottoms: list[tuple[int, ...]], error: type, words: str) -> None:
    text = f'type: "DeformablePSROIPooling" deformable_psroi_pooling_param {{ {options} }}'
    with pytest.raises(error, match=words):
        run_layer(text, [np.zeros(shape) for shape in bottoms])
