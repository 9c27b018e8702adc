"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-normalization`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import layer_case

Make = Callable[[np.random.Generator], np.ndarray]


def uniform(*shape: int) -> Make:
    return lambda random: random.uniform(-1, 2, shape)


LRN = [
    layer_case(f"{region}_{name}_{phase}".lower(), f'type: "LRN" lrn_param {{ norm_region: {region} {options} }}',
               [(2, 5, 4, 3)], phase=phase)
    for region in ("ACROSS_CHANNELS", "WITHIN_CHANNEL")
    for name, options in [
        ("three", "local_size: 3 alpha: 0.9"),
        ("five", "alpha: 2 beta: 0.3 k: 1.5"),
        ("one", "local_size: 1 beta: -1"),
    ]
    for phase in ("TRAIN", "TEST")
]  # fmt: skip

MVN = [
    layer_case(name, f'type: "MVN" mvn_param {{ {options} }}', [uniform(*shape)])
    for name, options, shape in [
        ("channels", "", (2, 3, 4, 5)),
        ("images", "across_channels: true", (2, 3, 4, 5)),
        ("mean", "normalize_variance: false", (2, 3, 4)),
        ("mean_of_images", "across_channels: true normalize_variance: false", (3, 4)),
    ]
]

#: The sum of the means, of the variances, and what they are divided by.
STATISTICS = [np.array([0.3, -0.6, 0.9]), np.array([1.5, 3.0, 0.6]), np.array([1.5])]

BATCH_NORM = [
    *[
        layer_case(
            f"scale_bias_{phase.lower()}_{'x'.join(map(str, shape))}",
            'type: "BatchNorm" batch_norm_param { eps: 0.1 scale_bias: true '
            'scale_filler { type: "uniform" min: 1 max: 2 } bias_filler { type: "gaussian" std: 1 } }',
            [uniform(*shape)],
            phase=phase,
        )
        for phase in ("TRAIN", "TEST")
        for shape in [(4, 3, 2, 2), (5, 3)]
    ],
    *[
        layer_case(
            f"batch_{name}_{'x'.join(map(str, shape))}",
            f'type: "BatchNorm" batch_norm_param {{ {options} }}',
            [uniform(*shape)],
            phase=phase,
        )
        for name, options, phase in [
            ("train", "", "TRAIN"),
            ("eps", "eps: 0.1", "TRAIN"),
            ("test", "eps: 0.1 use_global_stats: false", "TEST"),
        ]
        for shape in [(4, 3, 6, 5), (5, 3), (1, 2, 3, 3), (2, 3, 2, 2, 2), (7,)]
    ],
    *[
        layer_case(
            f"global_{name}_{'x'.join(map(str, shape))}",
            f'type: "BatchNorm" batch_norm_param {{ {options} }}',
            [uniform(*shape)],
            phase=phase,
            parameters=STATISTICS,
        )
        for name, options, phase in [("test", "", "TEST"), ("train", "use_global_stats: true", "TRAIN")]
        for shape in [(4, 3, 6, 5), (5, 3)]
    ],
    *[
        layer_case(
            f"{name}_{phase.lower()}",
            f'type: "BatchNorm" batch_norm_param {{ eps: 0.1 {options} }}',
            [uniform(4, 3, 2, 2)],
            phase=phase,
            parameters=STATISTICS if phase == "TEST" and "filler" not in options else [],
        )
        for name, options in [
            ("no_mean", "disable_mean: true"),
            ("no_variance", "disable_variance: true"),
            ("neither", "disable_mean: true disable_variance: true"),
            ("scale_alone", 'bias_term: false filler { type: "uniform" min: 1 max: 2 }'),
            ("rectified", "relu: true"),
            ("rectified_scale", 'relu: true filler { type: "uniform" min: 1 max: 2 } bias_filler { value: 0.1 }'),
        ]
        for phase in ("TRAIN", "TEST")
    ],
    *[
        layer_case(
            f"parts_{name}_{'x'.join(map(str, shape))}",
            f'type: "BatchNorm" batch_norm_param {{ eps: 0.1 stats_batch_size: 2 {options} }}',
            [uniform(*shape)],
            without=dict.fromkeys(
                ("batch_sizes", "reshape_down_and_up", "rows"), "the batch must be a multiple of stats_batch_size"
            ),
        )
        for name, options in [
            ("plain", ""),
            ("scaled", 'filler { type: "uniform" min: 1 max: 2 } bias_filler { type: "gaussian" std: 1 }'),
            ("no_mean", "disable_mean: true"),
        ]
        for shape in [(4, 3, 3, 2), (6, 3), (4,)]
    ],
]

OVER_THE_BATCH = dict.fromkeys(
    ("batch_sizes", "reshape_down_and_up", "rows"), "each row of the batch has a number of its own"
)

#: A name, the options, and the shape of the operand over a bottom of (2, 3, 4, 5).
LEARNED: list[tuple[str, str, tuple[int, ...], dict[str, str]]] = [
    ("channels", "", (3,), {}),
    ("rows_and_channels", "axis: 0 num_axes: 2", (2, 3), OVER_THE_BATCH),
    ("pixels", "axis: 2 num_axes: -1", (4, 5), {}),
    ("columns", "axis: -1", (5,), {}),
    ("all", "axis: 0 num_axes: -1", (2, 3, 4, 5), OVER_THE_BATCH),
    ("one", "num_axes: 0", (), {}),
]

#: The same, where the operand is the second bottom.
GIVEN: list[tuple[str, str, tuple[int, ...]]] = [
    ("channels", "", (3,)),
    ("rows_and_channels", "axis: 0", (2, 3)),
    ("all", "axis: 0", (2, 3, 4, 5)),
    ("pixels", "axis: -2", (4, 5)),
    ("one", "axis: 3", ()),
    ("rows", "axis: 0", (2,)),
]


def operand(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 2, shape)


SCALE = [
    *[
        layer_case(
            f"learned_{name}_{len(parameters)}",
            f'type: "Scale" scale_param {{ {options} {"bias_term: true" if len(parameters) > 1 else ""} }}',
            [uniform(2, 3, 4, 5)],
            parameters=parameters,
            without=without,
        )
        for name, options, shape, without in LEARNED
        for parameters in ([operand(shape, 1)], [operand(shape, 1), operand(shape, 2)])
    ],
    *[
        layer_case(
            f"given_{name}", f'type: "Scale" scale_param {{ {options} }}', [uniform(2, 3, 4, 5), uniform(*shape)]
        )
        for name, options, shape in GIVEN
    ],
    layer_case(
        "bounded",
        'type: "Scale" scale_param { min_value: -0.5 max_value: 0.5 bias_term: true }',
        [uniform(2, 3, 4)],
        parameters=[np.array([-2.0, 0.25, 3.0]), operand((3,), 2)],
        gradient=False,
        without={"forward": "the scale is changed in place, as in the fork"},
    ),
    *[
        layer_case(
            f"given_{name}_biased",
            f'type: "Scale" scale_param {{ {options} bias_term: true }}',
            [uniform(2, 3, 4, 5), uniform(*shape)],
            parameters=[operand(shape, 2)],
            without=OVER_THE_BATCH if "axis: 0" in options else {},
        )
        for name, options, shape in GIVEN
    ],
]

BIAS = [
    *[
        layer_case(
            f"learned_{name}",
            f'type: "Bias" bias_param {{ {options} }}',
            [uniform(2, 3, 4, 5)],
            parameters=[operand(shape, 1)],
            without=without,
        )
        for name, options, shape, without in LEARNED
    ],
    *[
        layer_case(f"given_{name}", f'type: "Bias" bias_param {{ {options} }}', [uniform(2, 3, 4, 5), uniform(*shape)])
        for name, options, shape in GIVEN
    ],
]

CASES = [*LRN, *MVN, *BATCH_NORM, *SCALE, *BIAS]
