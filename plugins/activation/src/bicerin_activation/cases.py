"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-activation`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import layer_case

Kink = Callable[[np.ndarray], np.ndarray]

SHAPES = [(2, 3, 4, 5), (2, 3), (1, 3, 2)]


def uniform(low: float, high: float, shape: tuple[int, ...]) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda random: random.uniform(low, high, shape)


def around(*points: float) -> Kink:
    """The distance to the nearest of these, where a function has no derivative."""
    return lambda x: np.min([np.abs(x - point) for point in points], axis=0)


#: A name, the text of the layer, the range of x, and where it has no derivative.
ROWS: list[tuple[str, str, tuple[float, float], Kink | None]] = [
    ("relu", 'type: "ReLU"', (-2, 2), around(0)),
    ("leaky", 'type: "ReLU" relu_param { negative_slope: 0.3 engine: CUDNN }', (-2, 2), around(0)),
    ("prelu", 'type: "PReLU"', (-2, 2), around(0)),
    (
        "prelu_shared",
        'type: "PReLU" prelu_param { channel_shared: true filler { type: "constant" value: -0.5 } }',
        (-2, 2),
        around(0),
    ),
    ("prelu_filled", 'type: "PReLU" prelu_param { filler { type: "gaussian" std: 1 } }', (-2, 2), around(0)),
    ("elu", 'type: "ELU"', (-2, 2), around(0)),
    ("elu_alpha", 'type: "ELU" elu_param { alpha: 0.3 }', (-2, 2), around(0)),
    ("selu", 'type: "SeLu"', (-2, 2), around(0)),
    ("selu_set", 'type: "SeLu" selu_param { lambda: 2 alpha: 0.5 }', (-2, 2), around(0)),
    ("mish", 'type: "Mish"', (-4, 4), None),
    ("sigmoid", 'type: "Sigmoid" sigmoid_param { engine: CAFFE }', (-2, 2), None),
    ("tanh", 'type: "TanH" tanh_param { engine: CAFFE }', (-2, 2), None),
    ("swish", 'type: "Swish"', (-2, 2), None),
    ("swish_beta", 'type: "Swish" swish_param { beta: -1.7 }', (-2, 2), None),
    ("absval", 'type: "AbsVal"', (-2, 2), around(0)),
    ("bnll", 'type: "BNLL"', (-9, 9), None),
    ("power", 'type: "Power"', (-2, 2), None),
    ("power_affine", 'type: "Power" power_param { power: 1 scale: -3 shift: 2 }', (-2, 2), None),
    ("power_0", 'type: "Power" power_param { power: 0 shift: 2 }', (-2, 2), None),
    ("power_of_shift", 'type: "Power" power_param { power: 3 scale: 0 shift: 2 }', (-2, 2), None),
    ("power_2", 'type: "Power" power_param { power: 2 scale: 0.5 shift: 1 }', (-2, 2), None),
    ("power_3", 'type: "Power" power_param { power: 3 }', (-2, 2), None),
    ("power_negative", 'type: "Power" power_param { power: -1.5 scale: 0.5 shift: 2 }', (-2, 2), None),
    ("exp", 'type: "Exp"', (-2, 2), None),
    ("exp_base", 'type: "Exp" exp_param { base: 3 scale: -0.5 shift: 0.7 }', (-2, 2), None),
    ("exp_affine", 'type: "Exp" exp_param { scale: 2 shift: -1 }', (-2, 2), None),
    ("log", 'type: "Log"', (0.1, 2), None),
    ("log_base", 'type: "Log" log_param { base: 0.4 scale: 2 shift: 5 }', (-2, 2), None),
    ("log_10", 'type: "Log" log_param { base: 10 scale: -1 shift: 3 }', (-2, 2), None),
    ("threshold", 'type: "Threshold" threshold_param { threshold: 0.2 }', (-2, 2), None),
    ("clip", 'type: "Clip" clip_param { min: -1 max: 0.5 }', (-2, 2), around(-1, 0.5)),
    (
        "symmetric_rectify",
        'type: "SymmetricRectify" symmetric_rectify_param { filler { type: "constant" value: 0.5 } }',
        (-2, 2),
        around(-0.5, 0.5),
    ),
    (
        "symmetric_rectify_shared",
        'type: "SymmetricRectify" symmetric_rectify_param { channel_shared: true filler { value: 0.7 } }',
        (-2, 2),
        around(-0.7, 0.7),
    ),
    ("sparsify", 'type: "Sparsify"', (-2, 2), None),
    ("dropout", 'type: "Dropout" dropout_param { dropout_ratio: 0.4 }', (-2, 2), None),
    ("selu_dropout", 'type: "SeLuDropout" selu_dropout_param { dropout_ratio: 0.4 }', (-2, 2), None),
]

CASES = [
    layer_case(
        f"{name}_{'x'.join(map(str, shape))}",
        definition,
        [uniform(*limits, shape)],
        kink=kink,
        gradient=name != "threshold",
        random=name.endswith("dropout"),
    )
    for name, definition, limits, kink in ROWS
    for shape in SHAPES
]

CASES += [
    layer_case(
        "sparsify_set",
        'type: "Sparsify" sparsify_param { thre: 0.5 coef: 0.25 }',
        [np.array([[-2.0, 0.4], [0.6, -0.5]])],
        expected=[np.array([[-2.0, 0.0], [0.6, 0.0]])],
        without={"gradients": "the pull of coef is in the gradient alone, and what became 0 has one too"},
    ),
    layer_case("selu_dropout_in_tests", 'type: "SeLuDropout"', [(2, 3)], phase="TEST"),
    layer_case("dropout_in_tests", 'type: "Dropout"', [(2, 3)], phase="TEST"),
    layer_case(
        "dropout_sampled_in_tests",
        'type: "Dropout" dropout_param { sample_weights_test: true }',
        [(2, 3)],
        phase="TEST",
        random=True,
    ),
    layer_case(
        "relu_values",
        'type: "ReLU"',
        [np.array([-2.0, 0.0, 3.0])],
        expected=[np.array([0.0, 0.0, 3.0])],
        gradient=False,
    ),
]
