"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-pooling`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from bicerin.testing import layer_case


def distinct(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Positive values, 0.01 apart: no difference taken turns one maximum into another."""
    return lambda random: (random.permutation(prod(shape)).reshape(shape) + 1) * 0.01


#: A name, the window, the bottom's shape, and whether there is padding, which STOCHASTIC does not take.
WINDOWS: list[tuple[str, str, tuple[int, ...], bool]] = [
    ("touching", "kernel_size: 2 stride: 2", (2, 2, 4, 6), False),
    ("over_the_edge", "kernel_size: 3 stride: 2", (2, 2, 6, 4), False),
    ("dense", "kernel_size: 3 stride: 1", (2, 1, 4, 20), False),
    ("long_rows", "kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2", (2, 1, 3, 40), False),
    ("far_apart", "kernel_size: 2 stride: 3", (2, 2, 8, 7), False),
    ("padded", "kernel_size: 3 stride: 2 pad: 1", (2, 2, 6, 5), True),
    (
        "floor",
        "kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 2 pad_w: 1 round_mode: FLOOR",
        (1, 3, 5, 4),
        True,
    ),
    ("global", "global_pooling: true", (2, 3, 3, 4), False),
]

CASES = [
    layer_case(
        f"{pool.lower()}_{name}_{phase.lower()}",
        f'type: "Pooling" pooling_param {{ pool: {pool} {window} }}',
        [distinct(*shape)],
        phase=phase,
        random=pool == "STOCHASTIC" and phase == "TRAIN",
    )
    for pool in ("MAX", "AVE", "STOCHASTIC")
    for name, window, shape, padded in WINDOWS
    for phase in ("TRAIN", "TEST")
    if not (padded and pool == "STOCHASTIC")
]

CASES += [
    layer_case(
        "stochastic_signed",
        'type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 }',
        [lambda random: distinct(2, 2, 6, 4)(random) * [[[1]], [[-1]]]],  # no window's sum is near 0
        phase="TEST",
    )
]

CASES += [
    layer_case(
        f"average_without_padding_{name}",
        f'type: "Pooling" pooling_param {{ pool: AVE avg_include_pad: false {window} }}',
        [distinct(*shape)],
    )
    for name, window, shape, _ in WINDOWS
    if name in ("padded", "floor", "dense")
]

CASES += [
    layer_case(
        f"mask_{phase.lower()}",
        'type: "Pooling" pooling_param { kernel_size: 2 stride: 2 }',
        [np.array([[[[1.0, 5.0, 2.0, 2.0], [5.0, 0.0, 2.0, 2.0]]]])],
        # Of equal values, the first.
        expected=[np.array([[[[5.0, 2.0]]]]), np.array([[[[1.0, 2.0]]]])],
        tops=2,
        phase=phase,
        gradient=False,
    )
    for phase in ("TRAIN", "TEST")
]

CASES += [
    layer_case(
        f"spp_{pool.lower()}_{height}_{phase.lower()}",
        f'type: "SPP" spp_param {{ pool: {pool} pyramid_height: {height} }}',
        [distinct(*shape)],
        phase=phase,
        random=pool == "STOCHASTIC" and phase == "TRAIN",
    )
    for pool, height, shape in (
        ("MAX", 1, (2, 2, 3, 4)),
        ("MAX", 3, (2, 2, 9, 8)),
        ("AVE", 2, (2, 2, 5, 7)),
        ("STOCHASTIC", 3, (2, 2, 4, 8)),
    )
    for phase in ("TRAIN", "TEST")
]

ONE_IMAGE = {
    "batch_sizes": "the rows are regions of one image, whose sum is one row",
    "rows": "the sum has one row, in whichever order",
}

CASES += [
    layer_case("global_sum", 'type: "GlobalSumPooling"', [(4, 3)], without=ONE_IMAGE),
    layer_case("global_sum_of_maps", 'type: "GlobalSumPooling"', [(1, 2, 3, 2)], without=ONE_IMAGE),
    layer_case("global_sum_of_nothing", 'type: "GlobalSumPooling"', [(0, 3)], expected=[np.zeros((1, 3))]),
]
