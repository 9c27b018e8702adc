"""The kernels on blocks of channels against the reference, which computes on rows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicerin.kernels import WITH_PANELS, Finish
from bicerin_convolution import reference
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.problem import Problem

if not WITH_PANELS:
    pytest.skip("the kernels need panels", allow_module_level=True)

from bicerin_convolution import blocked_winograd
from bicerin_convolution.blocked_depthwise import BlockedDepthwise, applies_depthwise
from bicerin_convolution.blocked_forward import BlockedForward, lanes_of
from bicerin_convolution.blocked_grouped import BlockedGrouped, applies_grouped
from bicerin_convolution.blocked_pointwise import BlockedPointwise, applies_pointwise
from bicerin_convolution.blocked_winograd import BlockedWinograd, BlockedWinogradGradient, applies_blocked

#: Relative to the largest value: Winograd's transforms add numbers of different sizes.
CLOSE = {np.dtype(np.float32): 3e-5, np.dtype(np.float64): 1e-13}


def in_blocks(rows: np.ndarray) -> np.ndarray:
    images, channels, *plane = rows.shape
    lanes = lanes_of(rows.dtype)
    blocks = -(-channels // lanes)
    found = np.zeros((images, blocks * lanes, *plane), rows.dtype)
    found[:, :channels] = rows
    return np.ascontiguousarray(found.reshape(images, blocks, lanes, *plane).transpose(0, 1, 3, 4, 2)).reshape(-1)


def in_rows(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    images, channels, *plane = shape
    blocks = flat.reshape(images, -1, *plane, lanes_of(flat.dtype)).transpose(0, 1, 4, 2, 3)
    return blocks.reshape(images, -1, *plane)[:, :channels]


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE[found.dtype] * max(1.0, np.abs(wanted).max()))


def made(
    shape: tuple[int, ...], outputs: int, group: int, side: int, pad: tuple[int, int], dtype: np.dtype
) -> tuple[Problem, np.ndarray, np.ndarray, np.ndarray]:
    """A problem with random x, w and dy, of which w is small."""
    geometry = Geometry((side, side), (1, 1), pad, (1, 1))
    random = np.random.default_rng(0)
    x = random.normal(size=shape).astype(dtype)
    w = (random.normal(size=(outputs, shape[1] // group, side, side)) / side).astype(dtype)
    dy = random.normal(size=(shape[0], outputs, *geometry.output_shape(shape[2:]))).astype(dtype)
    return Problem(x.shape, dy.shape, geometry, group, dtype), x, w, dy


def check(problem: Problem, x: np.ndarray, w: np.ndarray, dy: np.ndarray, slope: float = 1.0) -> None:
    if not applies_blocked(problem):
        pytest.skip("a block has fewer channels than a panel has rows, with this processor's vectors")
    random = np.random.default_rng(1)
    none = np.zeros(0, problem.dtype)
    for turned, source, shape in ((False, x, dy.shape), (True, dy, x.shape)):
        shift, addend = random.normal(size=shape[1]).astype(x.dtype), random.normal(size=shape).astype(x.dtype)
        wanted = np.empty(shape, problem.dtype)
        way = reference.data_gradient if turned else reference.forward
        way(problem)(source, w, Finish(none, shift, 1.0), wanted)
        for adds, keep in product((False, True), (False, True)):
            algorithm = BlockedWinograd(problem, turned)
            y = np.full_like(in_blocks(wanted), np.nan)
            other = in_blocks(addend) if adds else None
            algorithm.bind(in_blocks(source), algorithm.transform(w, keep), y, shift, slope, other)()
            total = wanted + addend if adds else wanted
            assert_close(in_rows(y, shape), np.where(total > 0, total, slope * total))
            # What is missing in the last block stays zeros, as who reads it expects.
            missing = in_rows(y, (shape[0], -(-shape[1] // lanes_of(x.dtype)) * lanes_of(x.dtype), *shape[2:]))
            assert not missing[:, shape[1] :].any()
    found, expected = np.ones_like(w), np.ones_like(w)
    bias_diff = np.ones(len(w), problem.dtype)
    BlockedWinogradGradient(problem)(in_blocks(x), in_blocks(dy), found, bias_diff)
    reference.weight_gradient(problem)(x, dy, expected)
    assert_close(found, expected)
    assert_close(bias_diff, 1 + dy.sum(axis=(0, 2, 3)))


# Input, num_output, group: shapes that cross the borders of tiles, blocks, panels and depths.
SHAPES = {
    "one tile": ((1, 16, 4, 4), 16, 1),
    "less than a block": ((2, 3, 9, 11), 5, 1),
    "odd channels": ((2, 13, 7, 7), 30, 1),
    "groups of whole blocks": ((2, 64, 9, 6), 96, 2),
    "depth beyond a block": ((1, 600, 8, 9), 40, 1),
    "many outputs": ((1, 16, 6, 5), 300, 1),
    "wide": ((1, 16, 5, 70), 16, 1),
    "many tiles": ((3, 16, 60, 50), 24, 1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("side", "pad"), [(3, (1, 1)), (3, (0, 2)), (5, (2, 2)), (5, (3, 4))])
@pytest.mark.parametrize("name", SHAPES)
def test_the_products_are_those_of_the_reference(name: str, side: int, pad: tuple[int, int], dtype: type) -> None:
    shape, outputs, group = SHAPES[name]
    check(*made(shape, outputs, group, side, pad, np.dtype(dtype)), slope=0.25)


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 3),
    channels=st.integers(1, 40),
    outputs=st.integers(1, 70),
    plane=st.tuples(st.integers(3, 20), st.integers(3, 20)),
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_other_shapes(images: int, channels: int, outputs: int, plane: tuple, pad: tuple) -> None:
    check(*made((images, channels, *plane), outputs, 1, 3, pad, np.dtype(np.float32)))


def test_blocks_of_tiles_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of images that are larger than the caches."""
    monkeypatch.setattr(blocked_winograd, "CACHE", 1)
    monkeypatch.setattr(blocked_winograd, "LEAST_TILES", 1)
    check(*made((2, 16, 18, 9), 24, 1, 3, (1, 1), np.dtype(np.float32)))


def test_what_the_scratch_memory_holds_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocked_winograd, "workspace", lambda name, shape, dtype: np.full(shape, np.nan, dtype))
    check(*made((1, 13, 9, 7), 19, 1, 3, (1, 1), np.dtype(np.float32)))


def test_values_that_are_not_finite() -> None:
    """A tile of them is not a number; others are as without, and a rectifier keeps what is none."""
    problem, x, w, _ = made((1, 16, 12, 12), 16, 1, 3, (1, 1), np.dtype(np.float32))
    algorithm = BlockedWinograd(problem)
    packed, shift = algorithm.transform(w, True), np.zeros(0, np.float32)
    clean, found = (np.empty_like(in_blocks(x)) for _ in range(2))
    algorithm.bind(in_blocks(x), packed, clean, shift, 0.0)()
    x[0, 3, 0, 0] = np.nan
    algorithm.bind(in_blocks(x), packed, found, shift, 0.0)()
    clean, found = (in_rows(one, x.shape) for one in (clean, found))
    assert np.isnan(found[0, :, :2, :2]).all()
    np.testing.assert_array_equal(found[0, :, 8:, 8:], clean[0, :, 8:, 8:])


@pytest.mark.parametrize(
    ("side", "stride", "dilation", "group", "why"),
    [
        (3, 2, 1, 1, "stride"),
        (3, 1, 2, 1, "dilation"),
        (7, 1, 1, 1, "kernel"),
        (3, 1, 1, 16, "a channel a group"),
    ],
)
def test_what_it_is_not_for(side: int, stride: int, dilation: int, group: int, why: str) -> None:
    geometry = Geometry((side,) * 2, (stride,) * 2, (1, 1), (dilation,) * 2)
    y_shape = (1, 16, *geometry.output_shape((20, 20)))
    assert not applies_blocked(Problem((1, 16, 20, 20), y_shape, geometry, group, np.dtype(np.float32))), why


# Input, num_output, stride: shapes that cross the borders of tiles, blocks, panels and chunks.
POINTWISE = {
    "one pixel": ((1, 16, 1, 1), 16, 1),
    "less than a block": ((2, 3, 5, 3), 5, 1),
    "odd channels": ((2, 13, 7, 7), 30, 1),
    "one panel": ((1, 40, 9, 6), 24, 1),
    "many channels": ((1, 1100, 3, 5), 40, 1),
    "many outputs": ((1, 16, 6, 5), 1000, 1),
    "many pixels": ((3, 16, 60, 50), 24, 1),
    "stride 2": ((2, 20, 9, 8), 48, 2),
    "stride 3": ((1, 16, 31, 30), 7, 3),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_products_are_those_of_the_reference(name: str, dtype: type) -> None:
    shape, outputs, stride = POINTWISE[name]
    check_pointwise(shape, outputs, stride, np.dtype(dtype), slope=0.25)


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 3),
    channels=st.integers(1, 70),
    outputs=st.integers(1, 130),
    plane=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    stride=st.integers(1, 3),
)
def test_other_shapes_of_pointwise_products(
    images: int, channels: int, outputs: int, plane: tuple, stride: int
) -> None:
    check_pointwise((images, channels, *plane), outputs, stride, np.dtype(np.float32), slope=1.0)


def check_pointwise(shape: tuple[int, ...], outputs: int, stride: int, dtype: np.dtype, slope: float) -> None:
    geometry = Geometry((1, 1), (stride, stride), (0, 0), (1, 1))
    problem = Problem(shape, (shape[0], outputs, *geometry.output_shape(shape[2:])), geometry, 1, dtype)
    assert applies_pointwise(problem)
    check_forward(problem, BlockedPointwise(problem), slope)


def check_forward(problem: Problem, algorithm: BlockedForward, slope: float) -> None:
    random = np.random.default_rng(0)
    dtype, outputs = problem.dtype, problem.y_shape[1]
    x = random.normal(size=problem.x_shape).astype(dtype)
    w = random.normal(size=(outputs, x.shape[1] // problem.group, *problem.geometry.kernel)).astype(dtype)
    shift, addend = random.normal(size=outputs).astype(dtype), random.normal(size=problem.y_shape).astype(dtype)
    wanted = np.empty(problem.y_shape, dtype)
    reference.forward(problem)(x, w, Finish(np.zeros(0, dtype), shift, 1.0), wanted)
    for adds in (False, True):
        y = np.full_like(in_blocks(wanted), np.nan)
        if adds:
            y[...] = in_blocks(addend)  # in place, as sums of a net may be
        algorithm.bind(in_blocks(x), algorithm.transform(w), y, shift, slope, y if adds else None)()
        total = wanted + addend if adds else wanted
        assert_close(in_rows(y, problem.y_shape), np.where(total > 0, total, slope * total))


# Channels and group; kernel, stride, pad and dilation of both axes; plane.
GROUPED = {
    "of 2": ((16, 8), ((3, 3), (1, 1), (1, 1), (1, 1)), (9, 11)),
    "stride 2": ((32, 16), ((3, 3), (2, 2), (1, 1), (1, 1)), (15, 8)),
    "of another kernel": ((24, 12), ((5, 2), (1, 2), (2, 0), (1, 1)), (6, 20)),
    "dilation": ((16, 8), ((3, 3), (1, 1), (4, 2), (2, 3)), (9, 17)),
    "padding beyond the kernel": ((16, 8), ((3, 3), (1, 1), (4, 5), (1, 1)), (3, 3)),
    "a block that is not full": ((10, 5), ((3, 3), (1, 1), (1, 1), (1, 1)), (7, 9)),
}


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("name", GROUPED)
def test_narrow_groups_are_those_of_the_reference(name: str, images: int, width: int) -> None:
    """`width` of 2 has groups of 4 channels."""
    (channels, group), axes, plane = GROUPED[name]
    geometry = Geometry(*axes)
    shape = (images, channels * width, *plane)
    problem = Problem(shape, (*shape[:2], *geometry.output_shape(plane)), geometry, group, np.dtype(np.float32))
    if lanes_of(problem.dtype) <= 2 * width:
        pytest.skip("a group is not narrower than a vector here")
    assert applies_grouped(problem)
    check_forward(problem, BlockedGrouped(problem), 0.25)


@pytest.mark.parametrize(("channels", "outputs", "group"), [(16, 16, 1), (16, 16, 16), (24, 24, 8), (16, 32, 8)])
def test_what_narrow_groups_are_not(channels: int, outputs: int, group: int) -> None:
    geometry = Geometry((3, 3), (1, 1), (1, 1), (1, 1))
    problem = Problem((1, channels, 9, 9), (1, outputs, 9, 9), geometry, group, np.dtype(np.float32))
    assert not applies_grouped(problem)


def depthwise(shape: tuple[int, ...], stride: tuple[int, int], pad: tuple[int, int], dtype: type) -> Problem:
    geometry = Geometry((3, 3), stride, pad, (1, 1))
    y_shape = (*shape[:2], *geometry.output_shape(shape[2:]))
    return Problem(shape, y_shape, geometry, shape[1], np.dtype(dtype))


# Planes whose rows end with many, few and single pixels, each with and without padding seen.
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pad", [(0, 0), (1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2), (3, 1)])
@pytest.mark.parametrize("plane", [(7, 7), (14, 28), (3, 3), (3, 4), (9, 30), (15, 27), (16, 34), (5, 12)])
def test_depthwise_is_that_of_the_reference(plane: tuple, stride: tuple, pad: tuple, dtype: type) -> None:
    for images, channels in ((1, 16), (2, 10)):
        problem = depthwise((images, channels, *plane), stride, pad, dtype)
        assert applies_depthwise(problem)
        check_forward(problem, BlockedDepthwise(problem), 0.25)


def test_depthwise_of_the_smallest_planes() -> None:
    for plane in ((2, 2), (2, 3), (3, 2)):
        problem = depthwise((1, 5, *plane), (1, 1), (1, 1), np.float32)
        assert applies_depthwise(problem)
        check_forward(problem, BlockedDepthwise(problem), 0.0)


def test_padding_takes_nothing_of_other_rows() -> None:
    """Beyond a row lie its neighbours, and beyond a plane those of other channels: none of them counts."""
    problem = depthwise((1, 16, 14, 14), (1, 1), (1, 1), np.float32)
    x, w = np.zeros(problem.x_shape, np.float32), np.ones((16, 1, 3, 3), np.float32)
    x[:, :, 3, 0] = x[:, 3] = np.nan
    y = np.empty_like(in_blocks(x))
    algorithm = BlockedDepthwise(problem)
    algorithm.bind(in_blocks(x), algorithm.transform(w), y, np.zeros(0, np.float32), 1.0)()
    wrong = np.zeros(x.shape, bool)
    wrong[:, :, 2:5, :2] = wrong[:, 3] = True
    np.testing.assert_array_equal(np.isnan(in_rows(y, x.shape)), wrong)


@pytest.mark.parametrize(
    ("outputs", "group", "axes"),
    [
        (16, 1, ((3, 3), (1, 1), (1, 1), (1, 1))),
        (16, 8, ((3, 3), (1, 1), (1, 1), (1, 1))),
        (32, 16, ((3, 3), (1, 1), (1, 1), (1, 1))),
        (16, 16, ((5, 5), (1, 1), (1, 1), (1, 1))),
        (16, 16, ((3, 3), (1, 3), (1, 1), (1, 1))),
        (16, 16, ((3, 3), (1, 1), (1, 2), (1, 1))),
        (16, 16, ((3, 3), (1, 1), (1, 1), (2, 1))),
    ],
)
def test_what_depthwise_is_not(outputs: int, group: int, axes: tuple) -> None:
    geometry = Geometry(*axes)
    problem = Problem((1, 16, 9, 9), (1, outputs, *geometry.output_shape((9, 9))), geometry, group, np.dtype("f4"))
    assert not applies_depthwise(problem)


def test_a_rectifier_keeps_what_is_not_a_number_and_gives_zeros_for_minus_infinity() -> None:
    geometry = Geometry((1, 1), (1, 1), (0, 0), (1, 1))
    x = np.zeros((1, 16, 2, 2), np.float32)
    x[0, :, 0, 0], x[0, 0, 1, 1] = np.nan, -np.inf
    problem = Problem(x.shape, x.shape, geometry, 1, x.dtype)
    algorithm = BlockedPointwise(problem)
    w = np.ones((16, 16, 1, 1), np.float32)
    y = np.empty_like(in_blocks(x))
    algorithm.bind(in_blocks(x), algorithm.transform(w), y, np.zeros(0, np.float32), 0.0)()
    found = in_rows(y, x.shape)
    assert np.isnan(found[0, :, 0, 0]).all()
    assert not found[0, :, 1, 1].any()


@pytest.mark.parametrize(("side", "pad", "group"), [(3, 0, 1), (1, 1, 1), (1, 0, 4)])
def test_what_pointwise_products_are_not_for(side: int, pad: int, group: int) -> None:
    geometry = Geometry((side,) * 2, (1, 1), (pad,) * 2, (1, 1))
    y_shape = (1, 16, *geometry.output_shape((20, 20)))
    assert not applies_pointwise(Problem((1, 16, 20, 20), y_shape, geometry, group, np.dtype(np.float32)))
