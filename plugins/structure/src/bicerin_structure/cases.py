"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-structure`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import layer_case


def apart(shape: tuple[int, ...], index: int = 0) -> Callable[[np.random.Generator], np.ndarray]:
    """Values none of which is close to another or to zero, where a maximum or |x| has no derivative."""

    def make(random: np.random.Generator) -> np.ndarray:
        places = random.permutation(np.prod(shape, dtype=int)).reshape(shape)
        values = (places + random.choice([0.1, 0.3, 0.7], shape)) / 2 * random.choice([-1, 1], shape)
        return np.asarray(values + 0.01 * index)

    return make


#: A name, the text of the layer, and the shapes of the bottoms.
ROWS: list[tuple[str, str, list[tuple[int, ...]]]] = [
    ("concat", 'type: "Concat"', [(2, 3, 4), (2, 1, 4), (2, 2, 4)]),
    ("concat_rows", 'type: "Concat" concat_param { axis: 0 }', [(2, 3), (1, 3)]),
    ("concat_last", 'type: "Concat" concat_param { axis: -1 }', [(2, 3), (2, 4)]),
    ("concat_dim", 'type: "Concat" concat_param { concat_dim: 2 }', [(2, 1, 3), (2, 1, 1)]),
    ("concat_one", 'type: "Concat"', [(2, 3)]),
    (
        "slice_points",
        'type: "Slice" slice_param { slice_point: 1 slice_point: 3 } top: "a" top: "b" top: "c"',
        [(2, 5, 2)],
    ),
    ("slice_last", 'type: "Slice" slice_param { axis: -1 } top: "a" top: "b"', [(2, 3, 4)]),
    ("slice_one", 'type: "Slice" top: "a"', [(2, 3)]),
    ("sum", 'type: "Eltwise"', [(2, 3)] * 2),
    ("sum_coeff", 'type: "Eltwise" eltwise_param { coeff: 1 coeff: -1 coeff: 0.5 }', [(2, 3)] * 3),
    ("product", 'type: "Eltwise" eltwise_param { operation: PROD }', [(2, 3, 1)] * 3),
    ("product_quotient", 'type: "Eltwise" eltwise_param { operation: PROD stable_prod_grad: false }', [(2, 3)] * 2),
    ("maximum", 'type: "Eltwise" eltwise_param { operation: MAX }', [(2, 3, 4)] * 3),
    ("sort", 'type: "Eltwise" eltwise_param { operation: SORT }', [(2, 3, 1)] * 3),
    ("flatten", 'type: "Flatten"', [(2, 3, 4)]),
    ("flatten_first", 'type: "Flatten" flatten_param { axis: 0 end_axis: 1 }', [(2, 3, 4)]),
    ("reshape", 'type: "Reshape" reshape_param { shape { dim: 0 dim: 3 dim: -1 } }', [(2, 3, 4)]),
    ("reshape_axis", 'type: "Reshape" reshape_param { shape { dim: 2 dim: -1 } axis: -2 num_axes: 1 }', [(2, 3, 4)]),
    ("crop", 'type: "Crop"', [(2, 1, 4, 5), (1, 1, 3, 2)]),
    ("crop_last", 'type: "Crop" crop_param { axis: -1 offset: 2 }', [(2, 5), (2, 3)]),
    ("crop_offsets", 'type: "Crop" crop_param { axis: 1 offset: 1 offset: 0 offset: 2 }', [(2, 3, 2, 5), (2, 2, 2, 3)]),
    ("tile", 'type: "Tile" tile_param { tiles: 3 }', [(2, 3, 2)]),
    ("tile_rows", 'type: "Tile" tile_param { tiles: 2 axis: 0 }', [(2, 3)]),
    ("tile_last", 'type: "Tile" tile_param { tiles: 2 axis: -1 }', [(1, 2, 3)]),
    ("silence", 'type: "Silence"', [(2, 3), (4,)]),
]

ROWS += [
    (
        f"{operation.lower()}_{name}",
        f'type: "Reduction" reduction_param {{ operation: {operation} {options} }}',
        [(2, 3, 2)],
    )
    for operation in ("SUM", "ASUM", "SUMSQ", "MEAN")
    for name, options in (("all", ""), ("axis", "axis: 1 coeff: -0.5"), ("last", "axis: -1 coeff: 3"))
]

BY_PLACE = {"rows": "where a row goes depends on its place in the batch"}

CASES = [
    layer_case(
        name,
        definition,
        [apart(shape, index) for index, shape in enumerate(shapes)],
        without=BY_PLACE if name in ("concat_rows", "flatten_first", "tile_rows") else {},
    )
    for name, definition, shapes in ROWS
]

ROWS_ARE_CUT = {"batch_sizes": "it cuts the batch in two"}

CASES += [
    layer_case(
        "slice_rows",
        'type: "Slice" slice_param { slice_dim: 0 } top: "a" top: "b"',
        [(4, 3)],
        batched=[],
        without=ROWS_ARE_CUT,
    ),
    *[
        layer_case(
            f"filter_{sum(selected)}",
            'type: "Filter" top: "a" top: "b"',
            [(4, 3), (4, 1, 2), np.array(selected)],
            check_bottom=[0, 1],
            without=BY_PLACE,
        )
        for selected in ([1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1])
    ],
    *[
        layer_case(
            f"batch_reindex_{len(rows)}",
            'type: "BatchReindex"',
            [(5, 2, 3), np.array(rows)],
            check_bottom=[0],
            batched=[1],
        )
        for rows in ([1, 4, 2, 4, 2, 2], [0], [])
    ],
    layer_case(
        "parameter",
        'type: "Parameter" parameter_param { shape { dim: 3 dim: 4 } }',
        [],
        parameters=[np.linspace(-1, 1, 12).reshape(3, 4)],
    ),
    *[
        layer_case(name, f'type: "ArgMax" argmax_param {{ {options} }}', [apart((2, 3, 4))], gradient=False)
        for name, options in (
            ("argmax", ""),
            ("argmax_top", "top_k: 2 out_max_val: true"),
            ("argmax_axis", "axis: 1 top_k: 2"),
        )
    ],
]

CASES += [
    layer_case("switch", 'type: "Switch"', [(2, 3), (2, 3), (2, 3)]),
    layer_case("switch_of_one", 'type: "Switch"', [(2, 3, 2)]),
]
