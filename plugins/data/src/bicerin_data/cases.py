"""The cases that prove DummyData: for the tests, and for `bicerin plugins check bicerin-data`.

The other layers read files, which the tests write.
"""

from __future__ import annotations

import numpy as np

from bicerin.testing import layer_case

CASES = [
    layer_case(
        "constants",
        'type: "DummyData" top: "a" top: "b" dummy_data_param { shape { dim: 2 dim: 3 } shape { }'
        ' data_filler { type: "constant" value: 1.5 } data_filler { type: "constant" value: -2 } }',
        [],
        expected=[np.full((2, 3), 1.5), np.array(-2.0)],
    ),
    layer_case(
        "four_axes",
        'type: "DummyData" top: "a" dummy_data_param { num: 2 channels: 1 height: 3 width: 0 }',
        [],
        expected=[np.zeros((2, 1, 3, 0))],
    ),
    layer_case(
        "random",
        'type: "DummyData" top: "a" dummy_data_param { shape { dim: 50 } data_filler { type: "gaussian" } }',
        [],
        random=True,
    ),
]
