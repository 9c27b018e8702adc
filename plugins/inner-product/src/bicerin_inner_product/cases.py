"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-inner-product`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import layer_case

FILLED = 'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "uniform" min: -1 max: 1 }'

#: A name, the options, and the bottom's shape.
PRODUCTS: list[tuple[str, str, tuple[int, ...]]] = [
    ("plain", "num_output: 4", (3, 2, 3)),
    ("one_sample", "num_output: 4", (1, 5)),
    ("one_output", "num_output: 1", (3, 1)),
    ("without_bias", "num_output: 4 bias_term: false", (3, 2, 3)),
    ("transpose", "num_output: 4 transpose: true", (3, 2, 3)),
    ("transpose_without_bias", "num_output: 4 transpose: true bias_term: false axis: 2", (2, 2, 3)),
    ("axis_0", "num_output: 3 axis: 0", (2, 3)),
    ("axis_from_the_end", "num_output: 3 axis: -1", (2, 3, 4)),
    ("many_tiles", "num_output: 13", (9, 50)),
    ("many_tiles_transposed", "num_output: 50 transpose: true", (9, 13)),
]


def indices(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda random: random.integers(0, 6, shape)


CASES = [
    layer_case(
        f"inner_product_{name}",
        f'type: "InnerProduct" inner_product_param {{ {options} {FILLED} }}',
        [shape],
        batched=[] if "axis: 0" in options else None,
    )
    for name, options, shape in PRODUCTS
]

CASES += [
    # The gradient of the weights is that of a layer that has them so, in happynear's fork.
    layer_case(
        "inner_product_normalize",
        f'type: "InnerProduct" inner_product_param {{ num_output: 4 normalize: true {FILLED} }}',
        [(3, 2, 3)],
        gradient=False,
        without=dict.fromkeys(("forward", "reshape_twice"), "the weights are changed in place, as in the fork"),
    ),
    layer_case("inner_product_given_weights", 'type: "InnerProduct"', [(3, 2, 3), (4, 6)], batched=[0]),
    layer_case(
        "inner_product_given_weights_axis_2",
        'type: "InnerProduct" inner_product_param { axis: 2 }',
        [(3, 2, 4), (5, 2, 2)],
        batched=[0],
    ),
]

CASES += [
    layer_case(
        "inner_product_values",
        'type: "InnerProduct" inner_product_param { num_output: 2 }',
        [np.array([[1.0, 2.0, 3.0]])],
        parameters=[np.array([[1.0, 0.0, -1.0], [2.0, 2.0, 2.0]]), np.array([0.5, -1.0])],
        expected=[np.array([[-1.5, 11.0]])],
    ),
]

CASES += [
    layer_case(
        f"embed_{name}",
        f'type: "Embed" embed_param {{ input_dim: 6 num_output: 4 {options} {FILLED} }}',
        [indices(*shape)],
        check_bottom=[],
    )
    for name, options, shape in (
        ("plain", "", (3, 5)),
        ("without_bias", "bias_term: false", (3, 5)),
        ("one_axis", "", (7,)),
        ("three_axes", "", (2, 2, 3)),
    )
]
