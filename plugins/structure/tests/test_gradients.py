"""The gradient of every layer of the family, over options and shapes."""

import numpy as np
import pytest

from bicerin.testing import check_gradient

CASES = [
    ("Concat", "", [(2, 3, 4), (2, 1, 4), (2, 2, 4)]),
    ("Concat", "concat_param { axis: 0 }", [(2, 3), (1, 3)]),
    ("Concat", "concat_param { axis: -1 }", [(2, 3), (2, 4)]),
    ("Concat", "concat_param { concat_dim: 2 }", [(2, 1, 3), (2, 1, 1)]),
    ("Concat", "", [(2, 3)]),
    ("Slice", "slice_param { slice_point: 1 slice_point: 3 } top: 'a' top: 'b' top: 'c'", [(2, 5, 2)]),
    ("Slice", "slice_param { axis: -1 } top: 'a' top: 'b'", [(2, 3, 4)]),
    ("Slice", "slice_param { slice_dim: 0 } top: 'a' top: 'b'", [(4, 3)]),
    ("Slice", "top: 'a'", [(2, 3)]),
    ("Eltwise", "", [(2, 3)] * 2),
    ("Eltwise", "eltwise_param { coeff: 1 coeff: -1 coeff: 0.5 }", [(2, 3)] * 3),
    ("Eltwise", "eltwise_param { operation: PROD }", [(2, 3, 1)] * 3),
    ("Eltwise", "eltwise_param { operation: PROD stable_prod_grad: false }", [(2, 3)] * 2),
    ("Eltwise", "eltwise_param { operation: MAX }", [(2, 3, 4)] * 3),
    ("Flatten", "", [(2, 3, 4)]),
    ("Flatten", "flatten_param { axis: 0 end_axis: 1 }", [(2, 3, 4)]),
    ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }", [(2, 3, 4)]),
    ("Reshape", "reshape_param { shape { dim: 2 dim: -1 } axis: -2 num_axes: 1 }", [(2, 3, 4)]),
    ("Crop", "", [(2, 1, 4, 5), (1, 1, 3, 2)]),
    ("Crop", "crop_param { axis: -1 offset: 2 }", [(2, 5), (2, 3)]),
    ("Crop", "crop_param { axis: 1 offset: 1 offset: 0 offset: 2 }", [(2, 3, 2, 5), (2, 2, 2, 3)]),
    ("Tile", "tile_param { tiles: 3 }", [(2, 3, 2)]),
    ("Tile", "tile_param { tiles: 2 axis: 0 }", [(2, 3)]),
    ("Tile", "tile_param { tiles: 2 axis: -1 }", [(1, 2, 3)]),
    *[
        ("Reduction", f"reduction_param {{ operation: {operation} {options} }}", [(2, 3, 2)])
        for operation in ("SUM", "ASUM", "SUMSQ", "MEAN")
        for options in ("", "axis: 1 coeff: -0.5", "axis: -1 coeff: 3")
    ],
    ("Silence", "", [(2, 3), (4,)]),
]


@pytest.mark.parametrize(("kind", "options", "shapes"), CASES)
def test_gradient(kind, options, shapes, device):
    random = np.random.default_rng(0)
    # No two values are close to each other or to zero, where a maximum or |x| has no derivative.
    inputs = []
    for shape in shapes:
        values = random.permutation(np.prod(shape, dtype=int)).reshape(shape) + random.choice([0.1, 0.3, 0.7], shape)
        inputs.append(values / 2 * random.choice([-1, 1], shape) + 0.01 * len(inputs))
    check_gradient(f'name: "t" type: "{kind}" {options}', inputs, device=device)


@pytest.mark.parametrize("selected", [[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_gradient_of_filter(selected, device):
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(4, 3)), random.normal(size=(4, 1, 2)), np.array(selected)]
    check_gradient('name: "f" type: "Filter" top: "a" top: "b"', inputs, check_bottom=[0, 1], device=device)


@pytest.mark.parametrize("index", [[1, 4, 2, 4, 2, 2], [0], []])
def test_gradient_of_batch_reindex(index, device):
    inputs = [np.random.default_rng(0).normal(size=(5, 2, 3)), np.array(index)]
    check_gradient('name: "b" type: "BatchReindex"', inputs, check_bottom=[0], device=device)


def test_gradient_of_parameter(device):
    values = np.random.default_rng(0).normal(size=(3, 4))
    check_gradient(
        'name: "p" type: "Parameter" parameter_param { shape { dim: 3 dim: 4 } }',
        [],
        parameters=[values],
        device=device,
    )
