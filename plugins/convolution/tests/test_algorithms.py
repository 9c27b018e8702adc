"""Every algorithm against the reference, the reference against the formula written out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from threading import Thread
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicerin.errors import BicerinError
from bicerin.kernels import WITH_PANELS, Affine, Finish, rounding_least
from bicerin.testing import run_layer
from bicerin_convolution import reference
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.plan import Plan
from bicerin_convolution.problem import Problem

if WITH_PANELS:
    from bicerin_convolution import direct, gemm, winograd

    GENERAL: list[ModuleType] = [reference, gemm, direct]
else:
    GENERAL = [reference]

NONE = Finish.of(None, (), np.dtype(np.float64))


def biased(bias: np.ndarray) -> Finish:
    return Finish.of(bias, (), bias.dtype)


def written_out(
    x: np.ndarray, w: np.ndarray, geometry: Geometry, group: int
) -> tuple[np.ndarray, list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]]:
    """y by the formula, element by element; and all (element of y, of w, of x) that meet."""
    y = np.zeros((len(x), len(w), *geometry.output_shape(x.shape[2:])))
    met = []
    for at in np.ndindex(y.shape):
        n, k, *position = at
        for c, *offset in np.ndindex(w.shape[1:]):
            axes = zip(position, geometry.stride, offset, geometry.dilation, geometry.pad, strict=True)
            source = tuple(p * s + o * d - pad for p, s, o, d, pad in axes)
            if all(0 <= s < size for s, size in zip(source, x.shape[2:], strict=True)):
                seen = (n, k // (len(w) // group) * w.shape[1] + c, *source)
                y[at] += w[(k, c, *offset)] * x[seen]
                met.append((at, (k, c, *offset), seen))
    return y, met


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[tuple[int, ...], int, int, Geometry]:
    """Input shape, num_output, group and geometry of a small convolution."""
    axes = draw(st.integers(1, 3))
    group = draw(st.integers(1, 3))

    def sizes(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(least, most)) for _ in range(axes))

    geometry = Geometry(sizes(1, 3), sizes(1, 3), sizes(0, 3), sizes(0, 2))
    spatial = tuple(
        draw(st.integers(max(1, extent - 2 * pad), 6))
        for extent, pad in zip(geometry.extent, geometry.pad, strict=True)
    )
    shape = (draw(st.integers(0, 2)), group * draw(st.integers(1, 2)), *spatial)
    return shape, group * draw(st.integers(1, 2)), group, geometry


@pytest.mark.parametrize("algorithm", GENERAL, ids=lambda module: module.__name__)
@settings(max_examples=40, deadline=None)
@given(drawn=convolutions())
def test_the_three_products_are_those_of_the_formula(algorithm: ModuleType, drawn: tuple) -> None:
    shape, outputs, group, geometry = drawn
    random = np.random.default_rng(0)
    x = random.normal(size=shape)
    w = random.normal(size=(outputs, shape[1] // group, *geometry.kernel))
    y, met = written_out(x, w, geometry, group)
    problem = Problem(x.shape, y.shape, geometry, group, x.dtype)
    found = np.full(y.shape, np.nan)
    bias = random.normal(size=outputs)
    algorithm.forward(problem)(x, w, biased(bias), found)
    np.testing.assert_allclose(found, y + bias.reshape(-1, *(1,) * (y.ndim - 2)), atol=1e-12)

    dy = random.normal(size=y.shape)
    dx, dw = np.zeros(x.shape), np.ones(w.shape)
    for of_y, of_w, of_x in met:
        dx[of_x] += w[of_w] * dy[of_y]
        dw[of_w] += x[of_x] * dy[of_y]
    found_dx, found_dw = np.full(x.shape, np.nan), np.ones(w.shape)
    algorithm.data_gradient(problem)(dy, w, NONE, found_dx)
    algorithm.weight_gradient(problem)(x, dy, found_dw)
    np.testing.assert_allclose(found_dx, dx, atol=1e-12)
    np.testing.assert_allclose(found_dw, dw, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(drawn=convolutions())
def test_fold_is_the_transpose_of_unfold(drawn: tuple) -> None:
    shape, _, _, geometry = drawn
    random = np.random.default_rng(0)
    x = random.normal(size=shape)
    columns = reference.unfold(x, geometry)
    other = random.normal(size=columns.shape)
    folded = np.full(shape, np.nan)
    reference.fold(other, geometry, folded)
    assert np.vdot(columns, other) == pytest.approx(np.vdot(x, folded), abs=1e-9)


# Shapes that cross the borders of tiles, panels, blocks and depths:
# input, num_output, group, kernel, stride, pad, dilation.
LARGE = {
    "several images in a panel": ((10, 16, 7, 7), 24, 1, 3, 1, 1, 1),
    "depth beyond a block": ((2, 300, 9, 8), 9, 1, 3, 1, 1, 1),
    "many outputs": ((1, 7, 6, 6), 150, 1, 3, 1, 0, 1),
    "rows longer than a panel": ((1, 3, 9, 150), 5, 1, 3, 1, 1, 1),
    "one position an image": ((40, 6, 5, 5), 20, 1, 5, 1, 0, 1),
    "groups": ((3, 24, 13, 13), 32, 4, 5, 1, 2, 1),
    "stride 2": ((3, 5, 30, 43), 11, 1, 7, 2, 3, 1),
    "stride 3": ((3, 5, 30, 43), 11, 1, 5, 3, 1, 1),
    "stride 4": ((2, 3, 51, 67), 12, 1, 11, 4, 0, 1),
    "stride 4, pad": ((2, 3, 31, 47), 12, 1, 11, 4, 6, 1),
    "dilation": ((2, 20, 33, 33), 20, 1, 3, 1, 4, 4),
    "few channels to many outputs": ((3, 20, 15, 14), 400, 1, 5, 1, 2, 1),
    "few channels to many outputs, groups": ((2, 96, 20, 20), 260, 2, 5, 1, 1, 1),
    "pointwise": ((3, 200, 14, 14), 70, 1, 1, 1, 0, 1),
    "pointwise, stride 2": ((3, 20, 15, 14), 70, 1, 1, 2, 0, 1),
    "depthwise": ((3, 20, 29, 31), 20, 20, 3, 2, 1, 1),
}


def random_problem(shape: tuple, dtype: str) -> tuple:
    x_shape, outputs, group, kernel, stride, pad, dilation = shape
    geometry = Geometry((kernel,) * 2, (stride,) * 2, (pad,) * 2, (dilation,) * 2)
    random = np.random.default_rng(1)
    x = random.normal(size=x_shape).astype(dtype)
    w = random.normal(size=(outputs, x_shape[1] // group, kernel, kernel)).astype(dtype)
    bias = random.normal(size=outputs).astype(dtype)
    dy = random.normal(size=(len(x), outputs, *geometry.output_shape(x_shape[2:]))).astype(dtype)
    return x, w, bias, dy, geometry, group


def worst(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the root mean square of what is expected."""
    return float(np.abs(found - expected).max() / np.sqrt(np.square(expected).mean()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", GENERAL[1:] or GENERAL, ids=lambda module: module.__name__)
@pytest.mark.parametrize("shape", LARGE.values(), ids=LARGE.keys())
def test_large_shapes_as_the_reference_in_float64(shape: tuple, algorithm: ModuleType, dtype: str) -> None:
    x, w, bias, dy, geometry, group = random_problem(shape, dtype)
    problem = Problem(x.shape, dy.shape, geometry, group, x.dtype)
    exactly = replace(problem, dtype=np.dtype(np.float64))
    exact = [array.astype(np.float64) for array in (x, w, bias, dy)]
    # A plain float32 sum of the 10,000 terms of the largest is off by 1e-5.
    tolerance = 2e-5 if dtype == "float32" else 1e-13
    y, expected = np.full_like(dy, np.nan), np.empty(dy.shape)
    algorithm.forward(problem)(x, w, biased(bias), y)
    reference.forward(exactly)(exact[0], exact[1], biased(exact[2]), expected)
    assert worst(y, expected) < tolerance
    dx, expected = np.full_like(x, np.nan), np.empty(x.shape)
    algorithm.data_gradient(problem)(dy, w, NONE, dx)
    reference.data_gradient(exactly)(exact[3], exact[1], NONE, expected)
    assert worst(dx, expected) < tolerance
    dw, expected = np.ones_like(w), np.ones(w.shape)
    algorithm.weight_gradient(problem)(x, dy, dw)
    reference.weight_gradient(exactly)(exact[0], exact[3], expected)
    assert worst(dw, expected) < tolerance


if WITH_PANELS:

    @pytest.mark.parametrize(
        ("kernel", "pad"), [(3, (0, 0)), (3, (1, 1)), (3, (2, 2)), (3, (0, 2)), (5, (2, 2)), (5, (0, 0)), (5, (1, 4))]
    )
    @pytest.mark.parametrize(
        "shape", [(1, 1, 5, 5), (2, 3, 7, 6), (10, 20, 13, 13), (2, 250, 9, 31), (1, 64, 56, 56), (0, 3, 5, 5)]
    )
    @pytest.mark.parametrize("group", [1, 2])
    def test_winograd(shape: tuple[int, ...], kernel: int, pad: tuple[int, int], group: int) -> None:
        """Its error is at most 1e-4 of the root mean square, whatever the number of channels; in float64, 1e-12."""
        geometry = Geometry((kernel,) * 2, (1, 1), pad, (1, 1))
        shape = (shape[0], shape[1] * group, *shape[2:])
        random = np.random.default_rng(2)
        x = random.normal(size=shape)
        w = random.normal(size=(20 * group, shape[1] // group, kernel, kernel))
        bias = random.normal(size=20 * group)
        dy = random.normal(size=(len(x), len(w), *geometry.output_shape(shape[2:])))
        y, dx, dw = np.empty(dy.shape), np.empty(x.shape), np.zeros(w.shape)
        problem = Problem(x.shape, dy.shape, geometry, group, x.dtype)
        reference.forward(problem)(x, w, biased(bias), y)
        reference.data_gradient(problem)(dy, w, NONE, dx)
        reference.weight_gradient(problem)(x, dy, dw)
        for dtype, tolerance in ((np.float32, 1e-4), (np.float64, 1e-12)):
            found, found_dx = np.full(y.shape, np.nan, dtype), np.full(x.shape, np.nan, dtype)
            found_dw = np.ones(w.shape, dtype)
            inputs, kernels, gradients = x.astype(dtype), w.astype(dtype), dy.astype(dtype)
            problem = replace(problem, dtype=np.dtype(dtype))
            winograd.forward(problem)(inputs, kernels, biased(bias.astype(dtype)), found)
            winograd.data_gradient(problem)(gradients, kernels, NONE, found_dx)
            winograd.weight_gradient(problem)(inputs, gradients, found_dw)
            if x.size:
                assert worst(found, y) < tolerance
                assert worst(found_dx, dx) < tolerance
                assert worst(found_dw, dw + 1) < tolerance

    def test_the_choice_follows_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("BICERIN_CONVOLUTION", raising=False)

        def plan(x: tuple[int, ...], outputs: int, kernel: int, group: int = 1) -> str:
            geometry = Geometry((kernel,) * 2, (1, 1), (kernel // 2,) * 2, (1, 1))
            return str(Plan(Problem(x, (x[0], outputs, *x[2:]), geometry, group, np.dtype(np.float32))))

        assert plan((10, 64, 56, 56), 192, 3) == "winograd"
        assert plan((10, 64, 56, 56), 192, 5) == "winograd"
        assert plan((10, 64, 56, 56), 192, 7) == "gemm"
        assert plan((10, 3, 56, 56), 64, 3) == "gemm"
        assert plan((1, 512, 4, 4), 512, 3) == "forward gemm, weight gradient winograd, data gradient gemm"
        assert plan((10, 64, 56, 56), 64, 3, group=64) == "direct"
        with rounding_least():
            assert plan((10, 64, 56, 56), 192, 3) == "gemm"

    def test_a_layer_follows_how_it_is_to_round(monkeypatch: pytest.MonkeyPatch) -> None:
        """At each pass, though its shape is the same, and what it gives is nearer to the exact sums."""
        monkeypatch.delenv("BICERIN_CONVOLUTION", raising=False)
        monkeypatch.setenv("BICERIN_ENGINE", "caffe")
        random = np.random.default_rng(0)
        x, w = random.normal(size=(2, 64, 24, 24)), random.normal(size=(64, 64, 3, 3))
        text = 'type: "Convolution" convolution_param { num_output: 64 kernel_size: 3 bias_term: false }'
        exact = run_layer(text, [x], parameters=[w], dtype=np.float64)
        exact.forward()
        run = run_layer(text, [x], parameters=[w])
        run.forward()
        assert run.layer.algorithm == "winograd"
        fast = worst(run.top[0].data, exact.top[0].data)
        with rounding_least():
            run.forward()
            assert run.layer.algorithm == "gemm"
        assert worst(run.top[0].data, exact.top[0].data) < fast / 2
        run.forward()
        assert run.layer.algorithm == "winograd"

    @pytest.mark.parametrize("name", ["gemm", "winograd", "direct", "reference"])
    def test_the_choice_can_be_overridden(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BICERIN_CONVOLUTION", name)
        geometry = Geometry((3, 3), (1, 1), (1, 1), (1, 1))
        plan = Plan(Problem((1, 2, 5, 5), (1, 2, 5, 5), geometry, 1, np.dtype(np.float32)))
        assert str(plan) == name

    def test_threads_do_not_share_scratch() -> None:
        """Several threads at once, each with its own arrays, get what one gets alone."""
        problems = [random_problem(shape, "float32") for shape in LARGE.values()] * 2
        alone, together = [], [np.empty_like(problem[3]) for problem in problems]
        prepared = [
            gemm.forward(Problem(x.shape, dy.shape, geometry, group, x.dtype))
            for x, _, _, dy, geometry, group in problems
        ]
        for (x, w, bias, dy, *_), forward in zip(problems, prepared, strict=True):
            alone.append(np.empty_like(dy))
            forward(x, w, biased(bias), alone[-1])

        def run(index: int) -> None:
            x, w, bias, *_ = problems[index]
            for _ in range(5):
                prepared[index](x, w, biased(bias), together[index])

        threads = [Thread(target=run, args=(index,)) for index in range(len(problems))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


FINISHED = [*GENERAL, winograd] if WITH_PANELS else GENERAL


@pytest.mark.parametrize("product", ["forward", "data_gradient"])
@pytest.mark.parametrize("algorithm", FINISHED, ids=lambda module: module.__name__)
@pytest.mark.parametrize("outputs", [4, 40])
def test_a_finish_is_scale_shift_and_slope(algorithm: ModuleType, product: str, outputs: int) -> None:
    """Of a convolution's top and of a deconvolution's; and the next pass, with less to do, does just that."""
    geometry = Geometry((3, 3), (1, 1), (1, 1), (1, 1))
    random = np.random.default_rng(3)
    x, w = random.normal(size=(2, 8, 7, 6)), random.normal(size=(outputs, 8, 3, 3))
    y = random.normal(size=(2, outputs, 7, 6))
    given, written = (x, y) if product == "forward" else (y, x)
    prepared = getattr(algorithm, product)(Problem(x.shape, y.shape, geometry, 1, x.dtype))
    plain = np.empty(written.shape)
    getattr(reference, product)(Problem(x.shape, y.shape, geometry, 1, x.dtype))(given, w, NONE, plain)
    bias, scale, shift = random.normal(size=(3, written.shape[1]))
    along = (-1, 1, 1)
    whole = (plain + bias.reshape(along)) * scale.reshape(along) + shift.reshape(along)
    for steps, expected in (
        ([Affine(1, scale, shift), Affine(negative_slope=0.25)], np.where(whole > 0, whole, 0.25 * whole)),
        ([Affine(negative_slope=0)], np.maximum(plain + bias.reshape(along), 0)),
        ([], plain + bias.reshape(along)),
    ):
        found = np.full(written.shape, np.nan)
        prepared(given, w, Finish.of(bias, steps, bias.dtype), found)
        np.testing.assert_allclose(found, expected, atol=1e-11)


def test_a_choice_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_CONVOLUTION", "fft")
    geometry = Geometry((1, 1), (1, 1), (0, 0), (1, 1))
    with pytest.raises(BicerinError, match="may be gemm, winograd, direct, reference"):
        Plan(Problem((1, 1, 2, 2), (1, 1, 2, 2), geometry, 1, np.dtype(np.float32)))


@pytest.mark.parametrize("setting", [{"BICERIN_KERNELS": "reference"}, {"BICERIN_NUM_THREADS": "1"}])
def test_recorded_cases_with(setting: dict[str, str]) -> None:
    """Caffe's results come out without Numba, and with one thread."""
    here = Path(__file__).parent
    program = (
        "from bicerin.testing import check_recorded, recorded_cases\n"
        f"for case in recorded_cases({str(here / 'recorded')!r}): check_recorded(case)\n"
        "print('all equal')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | setting, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.endswith("all equal\n"), done.stderr


def test_unfold_meets_every_tap() -> None:
    """The im2col matrix of one channel, written out."""
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    columns = reference.unfold(x, Geometry((2, 2), (1, 2), (0, 0), (1, 1)))
    assert columns.shape == (1, 1, 2, 2, 2, 2)
    for i, j, row, column in product(range(2), repeat=4):
        assert columns[0, 0, i, j, row, column] == x[0, 0, row + i, 2 * column + j]
