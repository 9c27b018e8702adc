"""The cases that prove the layer: for the tests, and for `bicerin plugins check my-plugin` wherever it is installed."""

from __future__ import annotations

import numpy as np

from bicerin.testing import layer_case


def distance_to_kink(x: np.ndarray) -> np.ndarray:
    """At -0.5 and 0.5 the layer has no derivative, so numeric differences mean nothing there."""
    distance: np.ndarray = np.abs(np.abs(x) - 0.5)
    return distance


CASES = [
    layer_case(
        "images",
        'type: "MyLayer" my_layer_param { weight_filler { type: "uniform" min: 0.5 max: 2 } }',
        [(2, 3, 4, 5)],
        kink=distance_to_kink,
    ),
    layer_case(
        "rows",
        'type: "MyLayer" my_layer_param { threshold: 1 }',
        [np.array([[-3.0, -0.5, 0.0], [0.75, 1.5, 4.0]])],
        expected=[np.array([[-2.0, 0.0, 0.0], [0.0, 0.5, 3.0]])],
    ),
]
