"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-recurrent`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import layer_case
from bicerin.testing.case import LayerCase

FILLED = 'weight_filler { type: "gaussian" std: 0.4 } bias_filler { type: "gaussian" std: 0.3 }'

#: How many hidden states a layer has.
HIDDEN = {"RNN": 1, "LSTM": 2}

TIME = dict.fromkeys(
    ("batch_sizes", "reshape_down_and_up", "rows"), "the first axis is time, of as many steps as at the set-up"
)


def definition(kind: str, options: str = "") -> str:
    return f'name: "t" type: "{kind}" recurrent_param {{ num_output: 3 {FILLED} {options} }}'


def markers(steps: int, streams: int, first: int = 0) -> Callable[[np.random.Generator], np.ndarray]:
    """Some sequences begin in the middle; `first` says whether the first step goes on."""

    def make(random: np.random.Generator) -> np.ndarray:
        cont = random.integers(0, 2, (steps, streams))
        cont[:1] = first
        return cont

    return make


def sequences(kind: str) -> list[LayerCase]:
    """The cases of RNN and LSTM, whose first axis is time."""
    states = [(1, 2, 3)] * HIDDEN[kind]
    return [
        *[
            layer_case(
                f"{kind.lower()}_{'x'.join(map(str, shape))}",
                definition(kind),
                [shape, markers(*shape[:2])],
                without=TIME,
            )
            for shape in [(4, 2, 3), (1, 1, 2), (3, 1, 2, 2), (2, 0, 3)]
        ],
        *[
            layer_case(
                f"{kind.lower()}_static_{len(static)}",
                definition(kind),
                [(3, 2, 3), markers(3, 2), (2, *static)],
                without=TIME,
            )
            for static in [(2,), (1, 3)]
        ],
        # No gradient reaches the states; the tests look at those of the rest.
        layer_case(
            f"{kind.lower()}_exposed",
            definition(kind, "expose_hidden: true"),
            [(3, 2, 2), markers(3, 2, first=1), *states],
            tops=1 + len(states),
            gradient=False,
            without=TIME,
        ),
    ]


LSTM_UNIT = [
    layer_case(
        f"unit_{size}_{''.join(map(str, cont))}",
        'name: "u" type: "LSTMUnit"',
        [(1, 2, size), (1, 2, 4 * size), np.array([cont])],
        batched=[],
    )
    for size in (1, 3)
    for cont in ([1, 1], [0, 1], [0, 0])
]

CASES = [*sequences("RNN"), *sequences("LSTM"), *LSTM_UNIT]
