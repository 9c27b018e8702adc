"""ROIPooling and PSROIPooling against loops that spell their definitions out, number by number in the blob's dtype."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicerin.errors import BlobCountError, LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_rcnn import psroi_pooling_kernels, roi_pooling_kernels
from bicerin_rcnn.regions import Bins, rounded, scaled_bins, whole_bins


def c_round(value: float) -> int:
    """C's: halves away from zero."""
    return floor(value + 0.5) if value >= 0 else ceil(value - 0.5)


def span(start: int, stop: int, size: int) -> range:
    return range(min(max(start, 0), size), min(max(stop, 0), size))


def pool_by_definition(maps: np.ndarray, regions: np.ndarray, scale: float, pooled_h: int, pooled_w: int):
    """The maxima of Fast R-CNN and the gradient of their sum, weighted with 1, 2, 3 .."""
    number = maps.dtype.type
    top = np.zeros((len(regions), maps.shape[1], pooled_h, pooled_w), maps.dtype)
    diff = np.zeros_like(maps)
    weight = np.arange(1, top.size + 1).reshape(top.shape)
    for (r, c, i, j), _ in np.ndenumerate(top):
        image = int(regions[r, 0])
        x1, y1, x2, y2 = (c_round(number(value) * number(scale)) for value in regions[r, 1:])
        bin_h = number(max(y2 - y1 + 1, 1)) / number(pooled_h)
        bin_w = number(max(x2 - x1 + 1, 1)) / number(pooled_w)
        best, where = -np.inf, None
        for y in span(floor(number(i) * bin_h) + y1, ceil(number(i + 1) * bin_h) + y1, maps.shape[2]):
            for x in span(floor(number(j) * bin_w) + x1, ceil(number(j + 1) * bin_w) + x1, maps.shape[3]):
                if maps[image, c, y, x] > best:
                    best, where = maps[image, c, y, x], (image, c, y, x)
        if where is not None:
            top[r, c, i, j] = best
            diff[where] += weight[r, c, i, j]
    return top, weight, diff


def average_by_definition(maps: np.ndarray, regions: np.ndarray, scale: float, outputs: int, group: int):
    """The means of R-FCN and the gradient of their sum, weighted with 1, 2, 3 .."""
    number = maps.dtype.type
    top = np.zeros((len(regions), outputs, group, group), maps.dtype)
    diff = np.zeros_like(maps)
    weight = np.arange(1, top.size + 1).reshape(top.shape)
    for (r, d, i, j), _ in np.ndenumerate(top):
        image, channel = int(regions[r, 0]), (d * group + i) * group + j
        x1, y1 = (number(c_round(value)) * number(scale) for value in regions[r, 1:3])
        x2, y2 = (number(c_round(value) + 1) * number(scale) for value in regions[r, 3:])
        bin_h, bin_w = (max(length, number(0.1)) / number(group) for length in (y2 - y1, x2 - x1))
        rows = span(floor(number(i) * bin_h + y1), ceil(number(i + 1) * bin_h + y1), maps.shape[2])
        columns = span(floor(number(j) * bin_w + x1), ceil(number(j + 1) * bin_w + x1), maps.shape[3])
        pixels = [(image, channel, y, x) for y in rows for x in columns]
        for pixel in pixels:
            top[r, d, i, j] += maps[pixel] / len(pixels)
            diff[pixel] += weight[r, d, i, j] / len(pixels)
    return top, weight, diff


def random_regions(random: np.random.Generator, number: int, images: int, extent: float) -> np.ndarray:
    """Some of them turned round, some outside, coordinates on halves of a pixel."""
    corners = random.integers(-int(extent), int(3 * extent), (number, 4)) / 2
    return np.column_stack([random.integers(0, images, number), corners])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1.0, 0.5, 0.25, 0.0625, 0.3]), pooled=st.sampled_from(
    [(1, 1), (2, 3), (7, 7), (5, 1)]))  # fmt: skip
def test_roi_pooling(dtype: type, seed: int, scale: float, pooled: tuple[int, int]) -> None:
    random = np.random.default_rng(seed)
    maps = random.integers(-3, 4, (2, 2, 6, 7)).astype(dtype)  # Few values, so that maxima tie.
    regions = random_regions(random, 6, 2, 7 / scale)
    top, weight, diff = pool_by_definition(maps, regions.astype(dtype), np.float32(scale), *pooled)
    text = f"pooled_h: {pooled[0]} pooled_w: {pooled[1]} spatial_scale: {scale}"
    run = run_layer(f'type: "ROIPooling" roi_pooling_param {{ {text} }}', [maps, regions], dtype=dtype)
    run.forward()
    assert np.array_equal(run.top[0].data, top)
    run.top[0].diff[...] = weight
    run.backward()
    assert np.array_equal(run.bottom[0].diff, diff)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1.0, 0.5, 0.0625, 0.3]), group=st.integers(1, 4))
def test_psroi_pooling(dtype: type, seed: int, scale: float, group: int) -> None:
    random = np.random.default_rng(seed)
    maps = random.standard_normal((2, 2 * group**2, 6, 7)).astype(dtype)
    regions = random_regions(random, 6, 2, 7 / scale)
    top, weight, diff = average_by_definition(maps, regions.astype(dtype), np.float32(scale), 2, group)
    text = f"spatial_scale: {scale} output_dim: 2 group_size: {group}"
    run = run_layer(f'type: "PSROIPooling" psroi_pooling_param {{ {text} }}', [maps, regions], dtype=dtype)
    run.forward()
    assert np.allclose(run.top[0].data, top, rtol=1e-4, atol=1e-5)
    run.top[0].diff[...] = weight
    run.backward()
    assert np.allclose(run.bottom[0].diff, diff, rtol=1e-4, atol=1e-3)


def test_halves_are_rounded_away_from_zero() -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -2.5, 0.49999997, -1.2, 8388609.0], np.float32)
    assert rounded(values).tolist() == [1, 2, 3, -1, -3, 0, -1, 8388609]


@pytest.mark.parametrize(("module", "kernel", "backward"), [
    (roi_pooling_kernels, "max_pool_regions", "scatter_to_regions"),
    (psroi_pooling_kernels, "average_pool_regions", "average_pool_regions_backward"),
])  # fmt: skip
def test_kernels_equal_their_references(module, kernel: str, backward: str) -> None:
    grouped = module is psroi_pooling_kernels
    random = np.random.default_rng(3)
    maps = random.standard_normal((2, 3, 2, 2, 6, 7) if grouped else (2, 3, 6, 7))
    if not grouped:
        maps[0, 0, 2:4] = np.nan
        maps[1, 1] = np.round(maps[1, 1])
    regions = random_regions(random, 9, 2, 8)
    edges = scaled_bins if grouped else whole_bins
    rows, columns = (edges(regions[:, k], regions[:, k + 2], 1.0, 2, size) for k, size in ((2, 6), (1, 7)))
    bins = Bins(regions[:, 0].astype(np.int64), rows, columns)
    outcomes = []
    for suffix in ("", "_reference"):
        forward, back = getattr(module, kernel + suffix), getattr(module, backward + suffix)
        top, mask, diff = np.empty((9, 3, 2, 2)), np.empty((9, 3, 2, 2), np.int32), np.full(maps.shape, 7.0)
        forward(maps, *bins, top, *(() if grouped else (mask,)))
        back(diff, *bins, np.ones_like(top)) if grouped else back(diff, bins.image, np.ones_like(top), mask)
        outcomes.append((top, mask if not grouped else top, diff))
    for one, other in zip(*outcomes, strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-12)


def test_a_region_outside_of_the_map_pools_zeros() -> None:
    """As empty bins do; all of a map of NaN pools the least float32, as Fast R-CNN does."""
    maps = np.stack([np.full((1, 4, 4), 5.0), np.full((1, 4, 4), np.nan)])
    run = run_layer(
        'type: "ROIPooling" roi_pooling_param { pooled_size: 1 }', [maps, [[0, 9, 9, 12, 12], [1, 0, 0, 1, 1]]]
    )
    run.forward()
    assert run.top[0].data.reshape(-1).tolist() == [0, np.finfo(np.float32).min]


@pytest.mark.parametrize("layer", [
    'type: "ROIPooling" roi_pooling_param { pooled_size: 2 }',
    'type: "PSROIPooling" psroi_pooling_param { spatial_scale: 1 output_dim: 1 group_size: 2 }',
])  # fmt: skip
@pytest.mark.parametrize(
    ("maps", "regions"), [((2, 4, 5, 5), (0, 5)), ((0, 4, 5, 5), (0, 5)), ((1, 4, 5, 5), (0, 5, 1, 1))]
)
def test_no_regions(layer: str, maps: tuple[int, ...], regions: tuple[int, ...]) -> None:
    run = run_layer(layer, [np.ones(maps), np.ones(regions)])
    run.forward()
    assert run.top[0].shape[0] == 0
    run.bottom[0].diff.fill(3)
    run.backward()
    assert (run.bottom[0].diff == 0).all()


ROI, PSROI = "ROIPooling", "PSROIPooling"


@pytest.mark.parametrize(("layer", "options", "inputs", "error", "words"), [
    (ROI, "", [(1, 1, 4, 4), (1, 5)], ShapeError, "pooled_h must be > 0"),
    (ROI, "roi_pooling_param { pooled_h: 3 }", [(1, 1, 4, 4), (1, 5)], ShapeError, "pooled_w must be > 0"),
    (ROI, "roi_pooling_param { pooled_size: [1, 2, 3] }", [(1, 1, 4, 4), (1, 5)], ShapeError, "given 3 times"),
    (ROI, "roi_pooling_param { pooled_size: 2 }", [(1, 1, 4, 4), (1, 4)], ShapeError, "must be == 5, not 4"),
    (ROI, "roi_pooling_param { pooled_size: 2 }", [(1, 1, 4, 4)], BlobCountError, "takes 2 bottom"),
    (PSROI, "", [(1, 4, 4, 4), (1, 5)], LayerError, "spatial_scale must be > 0"),
    (PSROI, "psroi_pooling_param { spatial_scale: 1 }", [(1, 4, 4, 4), (1, 5)], LayerError, "output_dim must be > 0"),
    (PSROI, "psroi_pooling_param { spatial_scale: 1 output_dim: 1 }", [(1, 4, 4, 4), (1, 5)], LayerError,
     "group_size must be > 0"),
    (PSROI, "psroi_pooling_param { spatial_scale: 1 output_dim: 2 group_size: 3 }", [(1, 4, 4, 4), (1, 5)], ShapeError,
     "4 against 18"),
    (PSROI, "psroi_pooling_param { spatial_scale: 1 output_dim: 1 group_size: 2 }", [(1, 4, 4, 4), (1, 3, 2)],
     ShapeError, "must be == 5, not 6"),
])  # fmt: skip
def test_errors(layer: str, options: str, inputs: list[tuple[int, ...]], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(f'type: "{layer}" {options}', [np.zeros(shape) for shape in inputs])


@pytest.mark.parametrize(("region", "words"), [
    ([2, 0, 0, 1, 1], "region 1 is of image 2, but there are 2: 0 to 1"),
    ([-1, 0, 0, 1, 1], "region 1 is of image -1"),
    ([0, 0, np.nan, 1, 1], "region 1 is not finite"),
])  # fmt: skip
def test_bad_regions(region: list[float], words: str) -> None:
    run = run_layer(
        'type: "ROIPooling" roi_pooling_param { pooled_size: 2 }', [np.zeros((2, 1, 4, 4)), [[0] * 5, region]]
    )
    with pytest.raises(LayerError, match=words):
        run.forward()


def test_a_scale_of_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match="spatial_scale must not be 0"):
        run_layer(
            'type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 1 spatial_scale: 0 }',
            [np.zeros((1, 1, 4, 4)), np.zeros((1, 5))],
        )


@pytest.mark.parametrize(("scale", "warned"), [("", True), ("spatial_scale: 1", False), ("spatial_scale: -1", False)])
def test_regions_that_may_be_pixels_or_parts_are_warned_of(
    scale: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    run_layer(
        f'name: "pool" type: "ROIPooling" roi_pooling_param {{ pooled_h: 1 pooled_w: 1 {scale} }}',
        [np.zeros((1, 1, 4, 4)), np.zeros((1, 5))],
    )
    assert ('layer "pool": ROIPooling without spatial_scale' in caplog.text) is warned


@pytest.mark.parametrize("corner", [0.6, 1])
def test_regions_that_are_pixels_or_parts_are_refused(corner: float) -> None:
    maps, regions = np.random.default_rng(0).normal(size=(1, 1, 4, 4)), [[0, 0, 0, corner, corner]]
    text = 'type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 1 %s }'
    with pytest.raises(LayerError, match=r"all regions lie between 0 and 1: parts of the image, .* or pixels"):
        run_layer(text % "", [maps, regions]).forward()
    for scale, size in ((1, 2), (-1, 4 if corner == 1 else 3)):
        run = run_layer(text % f"spatial_scale: {scale}", [maps, regions], dtype=np.float64)
        run.forward()
        assert run.top[0].data.item() == maps[0, 0, :size, :size].max()
    for pixels in ([0, 0, 0, 2, 2], [0] * 5):
        run_layer(text % "", [maps, [pixels]]).forward()
