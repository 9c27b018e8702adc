"""Options, errors, edges and the kernels of the element-wise layers."""

import numpy as np
import pytest

import bicerin
from bicerin.errors import BlobCountError, LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_activation import (
    bnll_kernels,
    dropout_kernels,
    elu_kernels,
    prelu_kernels,
    relu_kernels,
    sigmoid_kernels,
    tanh_kernels,
)

TYPES = {
    "ReLU": "",
    "PReLU": "",
    "ELU": "",
    "Sigmoid": "",
    "TanH": "",
    "Swish": "",
    "AbsVal": "",
    "BNLL": "",
    "Power": "power_param { power: 2 shift: 1 }",
    "Exp": "exp_param { base: 2 }",
    "Log": "log_param { shift: 3 }",
    "Threshold": "",
    "Clip": "clip_param { min: 0 max: 1 }",
    "Dropout": "",
    "SeLuDropout": "",
}


def forward(definition: str, values: list[float], **options: object) -> np.ndarray:
    run = run_layer(definition, [np.array([values])], dtype=np.float64, **options)
    run.forward()
    return run.top[0].data[0]


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_of_none_then_of_one_then_of_three(type_name: str, dtype: type, device: str) -> None:
    run = run_layer(f'type: "{type_name}" {TYPES[type_name]}', [np.ones((0, 4, 2))], dtype=dtype, device=device)
    for number in (0, 1, 3):
        run.bottom[0].reshape(number, 4, 2)
        run.forward()
        assert run.top[0].shape == (number, 4, 2)
        assert run.top[0].data.dtype == dtype
        if type_name != "Threshold":
            run.backward()
            assert np.isfinite(run.bottom[0].diff).all()


@pytest.mark.parametrize("type_name", [name for name in TYPES if name != "PReLU"])
def test_a_scalar_is_as_good_as_a_vector(type_name: str) -> None:
    definition = f'type: "{type_name}" {TYPES[type_name]}'
    runs = [run_layer(definition, [x], dtype=np.float64) for x in (np.array(0.3), np.array([0.3]))]
    for run in runs:
        run.forward()
        if type_name != "Threshold":
            run.top[0].diff[...] = 2
            run.backward()
    assert runs[0].top[0].shape == ()
    assert runs[0].top[0].data == runs[1].top[0].data[0]
    assert runs[0].bottom[0].diff == runs[1].bottom[0].diff[0]


def test_exp_of_a_large_shift_is_infinite() -> None:
    assert forward('type: "Exp" exp_param { shift: 1000 }', [0, 1]).tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("type_name", [name for name in TYPES if name not in ("Threshold", "Dropout", "SeLuDropout")])
def test_nan_stays_nan(type_name: str) -> None:
    assert np.isnan(forward(f'type: "{type_name}" {TYPES[type_name]}', [np.nan, 1])).tolist() == [True, False]


@pytest.mark.parametrize("type_name", TYPES)
def test_one_bottom_and_one_top(type_name: str, device: str) -> None:
    with pytest.raises(BlobCountError, match=f"{type_name} Layer takes 1 bottom"):
        run_layer(f'type: "{type_name}" {TYPES[type_name]}', [np.ones((2, 2))] * 2, device=device)


@pytest.mark.parametrize("warned", ["Log", "Exp", "Power"])
def test_overflow_and_undefined_values_warn_nobody(warned: str, recwarn: pytest.WarningsRecorder) -> None:
    values = forward(f'type: "{warned}"' + ("power_param { power: 0.5 }" if warned == "Power" else ""), [-1e4, 0, 1e4])
    expected = {"Log": [np.nan, -np.inf, np.log(1e4)], "Exp": [0, 1, np.inf], "Power": [np.nan, 0, 100]}[warned]
    np.testing.assert_allclose(values, expected)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("definition", "values", "expected"),
    [
        ('type: "ReLU"', [-2, 0, 3], [0, 0, 3]),
        ('type: "ReLU"', [-np.inf, -0.0, np.inf], [0, 0, np.inf]),
        ('type: "ReLU" relu_param { negative_slope: -0.5 }', [-2, 0, 3], [1, 0, 3]),
        ('type: "PReLU"', [-2, 0, 3], [-0.5, 0, 3]),
        ('type: "ELU" elu_param { alpha: 2 }', [-np.inf, 0, 3], [-2, 0, 3]),
        ('type: "Sigmoid"', [-1000, 0, 1000], [0, 0.5, 1]),
        ('type: "Swish" swish_param { beta: 0 }', [-2, 0, 3], [-1, 0, 1.5]),
        ('type: "BNLL"', [-1000, 0, 1000], [0, np.log(2), 1000]),
        ('type: "Power" power_param { scale: 0 shift: 3 power: 2 }', [-2, 0, 3], [9, 9, 9]),
        ('type: "Power" power_param { power: 0 }', [-2, 0, 3], [1, 1, 1]),
        ('type: "Power" power_param { scale: 2 shift: 1 }', [-2, 0, 3], [-3, 1, 7]),
        ('type: "Power" power_param { power: -1 }', [-2, 0, 4], [-0.5, np.inf, 0.25]),
        ('type: "Exp" exp_param { base: 10 scale: 2 shift: -1 }', [0, 0.5, 1], [0.1, 1, 10]),
        ('type: "Exp" exp_param { scale: 0 shift: 1 }', [0, 0.5, 1], [np.e, np.e, np.e]),
        ('type: "Log" log_param { base: 0.5 }', [0.25, 1, 8], [2, 0, -3]),
        ('type: "Threshold" threshold_param { threshold: 2 }', [1, 2, 3], [0, 0, 1]),
        ('type: "Clip" clip_param { min: -1 max: -1 }', [-2, 0, 3], [-1, -1, -1]),
    ],
)
def test_values(definition: str, values: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(forward(definition, values), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ('type: "Exp" exp_param { base: 0 }', "base must be strictly positive"),
        ('type: "Exp" exp_param { base: -2 }', "base must be strictly positive"),
        ('type: "Exp" exp_param { base: inf }', "finite"),
        ('type: "Log" log_param { base: 1 }', "Inf result"),
        ('type: "Log" log_param { base: -0.5 }', "base must be strictly positive"),
        ('type: "Dropout" dropout_param { dropout_ratio: 1 }', "dropout_ratio is 1"),
        ('type: "Dropout" dropout_param { dropout_ratio: -0.1 }', "dropout_ratio is -0.1"),
        ('type: "SeLuDropout" selu_dropout_param { dropout_ratio: 1 }', "dropout_ratio is 1"),
        ('type: "Clip"', "clip_param has no min"),
        ('type: "Clip" clip_param { min: 2 max: 1 }', "min is 2"),
    ],
)
def test_bad_parameters(definition: str, message: str, device: str) -> None:
    with pytest.raises(LayerError, match=message):
        run_layer(definition, [np.ones((2, 2))], device=device)


def test_absval_is_not_in_place(device: str) -> None:
    with pytest.raises(LayerError, match="does not allow in-place computation"):
        run_layer('type: "AbsVal"', [np.ones((2, 2))], in_place=True, device=device)


def test_threshold_has_no_gradient(device: str) -> None:
    run = run_layer('type: "Threshold"', [np.ones((2, 2))], device=device)
    run.forward()
    with pytest.raises(LayerError, match="no gradient"):
        run.backward([True])
    run.backward([False])


@pytest.mark.parametrize("in_place", [False, True])
def test_bnll_before_a_layer_in_place(in_place: bool, device: str) -> None:
    """The gradient is y_diff · sigmoid(x), whatever became of y."""
    x = np.array([-1.0, 0, 2])
    run = run_layer('type: "BNLL"', [x], in_place=in_place, dtype=np.float64, device=device)
    run.forward()
    np.testing.assert_allclose(run.top[0].data, np.log(1 + np.exp(x)), rtol=1e-12)
    run.top[0].data[...] *= 3
    run.top[0].diff[...] = 3
    run.backward()
    np.testing.assert_allclose(run.bottom[0].diff, 3 / (1 + np.exp(-x)), rtol=1e-12)


def test_bnll_in_a_net_before_a_layer_in_place() -> None:
    net = bicerin.Net(
        """force_backward: true
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
        layer { name: "bnll" type: "BNLL" bottom: "x" top: "y" }
        layer { name: "power" type: "Power" bottom: "y" top: "y" power_param { scale: 3 } loss_weight: 1 }""",
        "TRAIN",
    )
    net.blobs["x"].data[...] = [-1, 0, 2]
    net.run_forward()
    net.run_backward()
    np.testing.assert_allclose(net.blobs["x"].diff, [3 / (1 + np.exp([1, 0, -2.0]))], rtol=1e-6)


class TestPReLU:
    def test_needs_channels(self, device: str) -> None:
        with pytest.raises(ShapeError, match="must be >=2"):
            run_layer('type: "PReLU"', [np.ones(3)], device=device)

    def test_refuses_another_number_of_channels(self, device: str) -> None:
        run = run_layer('type: "PReLU"', [np.ones((2, 3))], device=device)
        run.bottom[0].reshape(2, 4)
        with pytest.raises(ShapeError, match="4 channels"):
            run.forward()

    def test_refuses_slopes_that_do_not_fit(self, device: str) -> None:
        blob = "blobs { shape { dim: 2 } data: 1 data: 2 }"
        with pytest.raises(ShapeError, match=r"\(3,\)"):
            run_layer(f'type: "PReLU" {blob}', [np.ones((2, 3))], device=device)

    def test_takes_slopes_of_a_model(self) -> None:
        blob = "blobs { shape { dim: 2 } data: 3 data: 0 }"
        np.testing.assert_array_equal(forward(f'type: "PReLU" {blob}', [-2, -2]), [-6, 0])

    def test_without_gradient_of_the_slopes(self, device: str) -> None:
        run = run_layer('type: "PReLU"', [-np.ones((2, 3))], device=device)
        run.layer.set_param_propagate_down(0, False)
        run.forward()
        run.top[0].diff[...] = 1
        run.backward()
        assert (run.blobs[0].diff == 0).all()
        assert (run.bottom[0].diff == 0.25).all()


class TestSeLuDropout:
    def test_what_is_kept_and_what_is_dropped(self) -> None:
        """With q = 0.75, alpha = -2: a = (0.75 (1 + 4 * 0.25)) ** -0.5 = 1.5 ** -0.5, b = a / 2."""
        definition = 'type: "SeLuDropout" selu_dropout_param { dropout_ratio: 0.25 alpha: -2 }'
        x = np.arange(1.0, 4001).reshape(4, 1000)
        run = run_layer(definition, [x], phase="TRAIN", dtype=np.float64)
        run.forward()
        y, a = run.top[0].data, 1.5**-0.5
        kept = y > 0
        assert 0.7 < kept.mean() < 0.8
        np.testing.assert_allclose(y[kept], a * x[kept] + a / 2, rtol=1e-9)
        np.testing.assert_allclose(y[~kept], -2 * a + a / 2, rtol=1e-9)
        run.top[0].diff[...] = 2
        run.backward()
        np.testing.assert_allclose(run.bottom[0].diff, 2 * a * kept, rtol=1e-9)

    def test_mean_and_variance_stay(self) -> None:
        x = np.random.default_rng(0).normal(size=(200, 1000))
        run = run_layer('type: "SeLuDropout" selu_dropout_param { dropout_ratio: 0.3 }', [x], phase="TRAIN")
        run.forward()
        assert abs(run.top[0].data.mean()) < 0.02
        assert abs(run.top[0].data.var() - 1) < 0.03

    def test_a_test_changes_nothing(self) -> None:
        run = run_layer('type: "SeLuDropout"', [np.arange(6.0)], phase="TEST")
        run.forward()
        assert (run.top[0].data == run.bottom[0].data).all()


class TestDropout:
    def test_without_scale_train_the_kept_are_as_they_were_and_test_scales(self) -> None:
        definition = 'type: "Dropout" dropout_param { dropout_ratio: 0.25 scale_train: false }'
        x = np.arange(1.0, 4001).reshape(4, 1000)
        run = run_layer(definition, [x], phase="TRAIN")
        run.forward()
        y = run.top[0].data
        kept = y != 0
        assert (y[kept] == x[kept]).all() and 0.7 < kept.mean() < 0.8
        run.top[0].diff[...] = 2
        run.backward()
        assert (run.bottom[0].diff == 2 * kept).all()
        run = run_layer(definition, [x], phase="TEST")
        run.forward()
        assert (run.top[0].data == (0.75 * x).astype(np.float32)).all()

    def test_a_layer_before_it_does_not_leave_the_scale_out(self) -> None:
        text = """
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 2 dim: 2 } } }
        layer { name: "s" type: "Power" bottom: "x" top: "y" power_param { scale: 3 } }
        layer { name: "d" type: "Dropout" bottom: "y" top: "y"
          dropout_param { dropout_ratio: 0.75 scale_train: false } }
        """
        assert (bicerin.Net(text, "TEST").forward(x=np.ones((1, 1, 2, 2)))["y"] == 0.75).all()

    SHAPE = (100, 1000)

    def run(self, ratio: float, phase: str = "TRAIN", seed: int = 0, in_place: bool = False):  # type: ignore[no-untyped-def]
        definition = f'type: "Dropout" dropout_param {{ dropout_ratio: {ratio} }}'
        return run_layer(definition, [np.ones(self.SHAPE)], phase=phase, seed=seed, in_place=in_place)

    @pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
    def test_share_and_scale(self, ratio: float) -> None:
        run = self.run(ratio)
        run.forward()
        kept = run.top[0].data != 0
        assert abs(kept.mean() - (1 - ratio)) < 5 * np.sqrt(ratio * (1 - ratio) / kept.size)
        np.testing.assert_allclose(run.top[0].data[kept], 1 / (1 - ratio), rtol=1e-6)

    def test_masks_of_different_keys_agree_by_chance_only(self) -> None:
        keys = np.random.default_rng(8).integers(0, 2**32, (40, 2)).tolist()
        masks = np.array([dropout_kernels.mask(np, 20_000, key, 2**31) for key in keys])
        agreement = (masks[:, None] == masks).mean(axis=2)[np.triu_indices(len(keys), 1)]
        assert np.abs(agreement - 0.5).max() < 5 * 0.5 / np.sqrt(20_000)
        assert abs(agreement.std() * np.sqrt(20_000) - 0.5) < 0.05

    @pytest.mark.parametrize("in_place", [False, True])
    def test_gradient_has_the_same_mask(self, in_place: bool) -> None:
        run = self.run(0.3, in_place=in_place)
        run.forward()
        y = run.top[0].data.copy()
        run.top[0].diff[...] = 1
        run.backward()
        np.testing.assert_array_equal(run.bottom[0].diff, y)

    @pytest.mark.parametrize(("ratio", "phase"), [(0.5, "TEST"), (0, "TRAIN")])
    def test_identity(self, ratio: float, phase: str) -> None:
        run = self.run(ratio, phase)
        run.forward()
        run.top[0].diff[...] = 3
        run.backward()
        assert (run.top[0].data == 1).all()
        assert (run.bottom[0].diff == 3).all()
        assert run.layer.state() is None

    def test_masks_are_new_each_pass_and_the_same_for_a_seed(self) -> None:
        runs = [self.run(0.5, seed=seed) for seed in (1, 1, 2)]
        masks = []
        for run in runs:
            run.forward()
            masks.append(run.top[0].data != 0)
        assert np.array_equal(masks[0], masks[1])
        runs[0].forward()
        again = runs[0].top[0].data != 0
        # Neither another seed, nor another pass, nor a neighbour says anything of an element.
        for other in (masks[2], again, np.roll(masks[0], 1), np.roll(masks[0], 1, axis=0)):
            assert abs((masks[0] == other).mean() - 0.5) < 5 * 0.5 / np.sqrt(other.size)

    def test_goes_on_from_its_state(self) -> None:
        run = self.run(0.5)
        run.forward()
        state = run.layer.state()
        run.forward()
        expected = run.top[0].data.copy()
        other = self.run(0.5, seed=9)
        other.layer.restore_state(state)
        other.forward()
        np.testing.assert_array_equal(other.top[0].data, expected)


class TestKernels:
    """Each kernel against its formula, on values around the kink and far from it."""

    X = np.concatenate([np.linspace(-20, 20, 4001), [0.0, -0.0, 1e-30, -1e-30]])
    ROWS = X.reshape(5, 3, -1)
    SLOPE = np.array([0.1, -0.3, 2])

    CASES = [
        (relu_kernels.forward, relu_kernels.forward_array, (X, 0.0)),
        (relu_kernels.forward, relu_kernels.forward_array, (X, 0.3)),
        (relu_kernels.backward, relu_kernels.backward_array, (X, 0.3, X[::-1].copy())),
        (prelu_kernels.forward, prelu_kernels.forward_array, (ROWS, SLOPE)),
        (prelu_kernels.backward, prelu_kernels.backward_array, (ROWS, SLOPE, ROWS[::-1].copy())),
        (prelu_kernels.slope_sums, prelu_kernels.slope_sums_array, (ROWS, ROWS[::-1].copy())),
        (elu_kernels.forward, elu_kernels.forward_array, (X, 0.7)),
        (elu_kernels.backward, elu_kernels.backward_array, (X, X / 2, 0.7, X[::-1].copy())),
        (sigmoid_kernels.sigmoid, sigmoid_kernels.sigmoid_array, (X,)),
        (sigmoid_kernels.sigmoid_backward, sigmoid_kernels.sigmoid_backward_array, (X, X[::-1].copy())),
        (sigmoid_kernels.swish_backward, sigmoid_kernels.swish_backward_array, (X, 0.8, X / 3, X[::-1].copy())),
        (bnll_kernels.forward, bnll_kernels.forward_array, (X,)),
        (bnll_kernels.backward, bnll_kernels.backward_array, (X, X[::-1].copy())),
        (dropout_kernels.drop, dropout_kernels.drop_array, (X, 2**32 - 1, 12345, 2**31 + 7, 2.0)),
        (tanh_kernels.backward, tanh_kernels.backward_array, (X, X[::-1].copy())),
    ]

    @pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-6), (np.float64, 1e-13)])
    @pytest.mark.parametrize(("kernel", "formula", "arguments"), CASES, ids=[row[1].__qualname__ for row in CASES])
    def test_kernel_equals_formula(self, kernel, formula, arguments, dtype: type, rtol: float) -> None:  # type: ignore[no-untyped-def]
        arguments = [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in arguments]
        shape = (3,) if formula is prelu_kernels.slope_sums_array else arguments[0].shape
        ours, theirs = np.empty(shape, dtype), np.empty(shape, dtype)
        kernel(*arguments, ours)
        formula(np, *arguments, theirs)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)

    @pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-6), (np.float64, 1e-13)])
    def test_swish_writes_its_gate_too(self, dtype: type, rtol: float) -> None:
        x = self.X.astype(dtype)
        ours, theirs = np.empty((2, 2, x.size), dtype)
        sigmoid_kernels.swish(x, 0.8, *ours)
        sigmoid_kernels.swish_array(np, x, 0.8, *theirs)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)


def test_symmetric_rectify_learns_thresholds_that_stay_positive(device: str) -> None:
    x = np.array([[[-2.0, -0.5, 0.5, 2.0], [-2.0, -0.5, 0.5, 2.0]]])
    text = 'type: "SymmetricRectify" symmetric_rectify_param { thre_decay: 0.25 }'
    run = run_layer(text, [x], parameters=[np.array([1.0, -3.0])], dtype=np.float64, device=device)
    run.forward()
    assert run.top[0].data.tolist() == [[[-1, 0, 0, 1], x[0, 1].tolist()]]
    assert run.blobs[0].data.tolist() == [1, 0]
    run.top[0].diff[...] = np.array([[[1.0, 2.0, 4.0, 8.0], [1.0, 2.0, 4.0, 8.0]]])
    run.backward()
    assert run.bottom[0].diff.tolist() == [[[1, 0, 0, 8], [1, 2, 4, 8]]]
    assert run.blobs[0].diff.tolist() == [1 - 8 - 0.25, 1 + 2 - 4 - 8]


def test_symmetric_rectify_refuses_thresholds_below_0() -> None:
    text = 'type: "SymmetricRectify" symmetric_rectify_param { filler { type: "constant" value: -1 } }'
    with pytest.raises(LayerError, match="thresholds below 0"):
        run_layer(text, [np.ones((2, 3))])


def test_sparsify_pulls_in_the_gradient(device: str) -> None:
    x = np.array([-2.0, -0.5, 0.0, 0.4, 3.0])
    text = 'type: "Sparsify" sparsify_param { thre: 0.5 coef: 0.25 }'
    run = run_layer(text, [x], dtype=np.float64, device=device)
    run.forward()
    assert run.top[0].data.tolist() == [-2, 0, 0, 0, 3]
    run.top[0].diff[...] = 1
    run.backward()
    assert run.bottom[0].diff.tolist() == [0.75, 0.75, 1, 1.25, 1.25]
    with pytest.raises(LayerError, match="coef must be at least 0"):
        run_layer('type: "Sparsify" sparsify_param { coef: -1 }', [x])
