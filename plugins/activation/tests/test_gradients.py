"""Every gradient against numeric differences, not in place and in place."""

from collections.abc import Callable

import numpy as np
import pytest

from bicerin.testing import check_gradient, run_layer

SHAPES = [(2, 3), (2, 3, 4, 5), (1, 3, 2)]


def around(point: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.abs(x - point)


def values(shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(3).uniform(low, high, shape)


# (definition, range of x, distance to the next kink)
LAYERS = [
    ('type: "ReLU"', (-2, 2), around(0)),
    ('type: "ReLU" relu_param { negative_slope: 0.3 engine: CUDNN }', (-2, 2), around(0)),
    ('type: "Sigmoid" sigmoid_param { engine: CAFFE }', (-2, 2), None),
    ('type: "TanH" tanh_param { engine: CAFFE }', (-2, 2), None),
    ('type: "PReLU"', (-2, 2), around(0)),
    (
        'type: "PReLU" prelu_param { channel_shared: true filler { type: "constant" value: -0.5 } }',
        (-2, 2),
        around(0),
    ),
    ('type: "PReLU" prelu_param { filler { type: "gaussian" std: 1 } }', (-2, 2), around(0)),
    ('type: "ELU"', (-2, 2), around(0)),
    ('type: "ELU" elu_param { alpha: 0.3 }', (-2, 2), around(0)),
    ('type: "Swish"', (-2, 2), None),
    ('type: "Swish" swish_param { beta: -1.7 }', (-2, 2), None),
    ('type: "AbsVal"', (-2, 2), around(0)),
    ('type: "BNLL"', (-9, 9), None),
    ('type: "Power"', (-2, 2), None),
    ('type: "Power" power_param { power: 1 scale: -3 shift: 2 }', (-2, 2), None),
    ('type: "Power" power_param { power: 0 shift: 2 }', (-2, 2), None),
    ('type: "Power" power_param { power: 3 scale: 0 shift: 2 }', (-2, 2), None),
    ('type: "Power" power_param { power: 2 scale: 0.5 shift: 1 }', (-2, 2), None),
    ('type: "Power" power_param { power: 3 }', (-2, 2), None),
    ('type: "Power" power_param { power: -1.5 scale: 0.5 shift: 2 }', (-2, 2), None),
    ('type: "Exp"', (-2, 2), None),
    ('type: "Exp" exp_param { base: 3 scale: -0.5 shift: 0.7 }', (-2, 2), None),
    ('type: "Exp" exp_param { scale: 2 shift: -1 }', (-2, 2), None),
    ('type: "Log"', (0.1, 2), None),
    ('type: "Log" log_param { base: 0.4 scale: 2 shift: 5 }', (-2, 2), None),
    ('type: "Log" log_param { base: 10 scale: -1 shift: 3 }', (-2, 2), None),
    ('type: "Clip" clip_param { min: -1 max: 0.5 }', (-2, 2), lambda x: np.minimum(np.abs(x + 1), np.abs(x - 0.5))),
    ('type: "Dropout" dropout_param { dropout_ratio: 0.4 }', (-2, 2), None),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("definition", "limits", "kink"), LAYERS, ids=[row[0] for row in LAYERS])
def test_gradient(definition: str, limits: tuple, kink: Callable | None, shape: tuple[int, ...], device: str) -> None:
    check_gradient(definition, [values(shape, *limits)], kink=kink, reseed="Dropout" in definition, device=device)


@pytest.mark.parametrize("definition", [row[0] for row in LAYERS if "AbsVal" not in row[0]])
def test_in_place_equals_not_in_place(definition: str, device: str) -> None:
    limits = next(row[1] for row in LAYERS if row[0] == definition)
    x = values((2, 3, 4, 5), *limits)
    y_diff = values(x.shape)
    separate, same = (
        run_layer(definition, [x], dtype=np.float64, in_place=flag, device=device) for flag in (False, True)
    )
    for run in (separate, same):
        run.forward()
        run.top[0].diff[...] = y_diff
    assert np.array_equal(separate.bottom[0].data, x)
    assert np.array_equal(same.top[0].data, separate.top[0].data)
    for run in (separate, same):
        run.backward()
    np.testing.assert_allclose(same.bottom[0].diff, separate.bottom[0].diff, rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(same.layer.blobs, separate.layer.blobs, strict=True):
        np.testing.assert_allclose(ours.diff, theirs.diff, rtol=1e-9)
