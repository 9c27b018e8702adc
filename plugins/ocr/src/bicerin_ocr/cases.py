"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-ocr`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import LayerCase, layer_case

Make = Callable[[np.random.Generator], np.ndarray]

SUM = {"gradients": "what is passed down is the gradient of the sum of the sequences' losses, the top is their mean"}
TIME = {
    "rows": "the first axis is time",
    "reshape_down_and_up": "the first axis is time",
    "batch_sizes": "that is time",
}
RESTARTS = {"gradients": "the fork's gradient of W_h is not exact where a sequence begins after the first step"}
FILLED = 'weight_filler { type: "gaussian" std: 0.4 } bias_filler { type: "gaussian" std: 0.3 }'


def labels(number: int, length: int, classes: int) -> Make:
    """A function that makes labels, `(N, length)`, some blanks among them."""
    return lambda random: random.integers(0, classes, (number, length))


def markers(steps: int, number: int, first: int = 0) -> Make:
    """A function that makes markers of which some are 0 after the first step, too."""

    def make(random: np.random.Generator) -> np.ndarray:
        made = random.integers(0, 3, (steps, number)) > 0
        made[:1] = first
        return made

    return make


CTC_LOSS = [
    layer_case("one", 'type: "CtcLoss" loss_weight: 1.5', [(7, 1, 4), np.array([[1, 1, 3]])], batched=[], without=TIME),
    layer_case("blank_only", 'type: "CtcLoss"', [(3, 1, 4), np.array([[0, 0]])], batched=[], without=TIME),
    layer_case("too_long", 'type: "CtcLoss"', [(3, 1, 4), np.array([[1, 1, 2]])], batched=[], without=TIME),
    layer_case("fewer_steps", 'type: "CtcLoss" ctc_loss_param { alphabet_size: 4 time_step: 5 blank_label: 3 }',
               [(7, 1, 4), np.array([[1, 3, 0]])], batched=[], without=TIME),
    layer_case("several", 'type: "CtcLoss" ctc_loss_param { alphabet_size: 6 time_step: 9 }',
               [(9, 4, 6), labels(4, 5, 6)], batched=[], without={**TIME, **SUM}),
]  # fmt: skip

CONTINUATION_INDICATOR = [
    layer_case("plain", 'type: "ContinuationIndicator" continuation_indicator_param { time_step: 4 }', [(3, 5)],
               expected=[np.array([[0] * 3] + [[1] * 3] * 3)], gradient=False),
    layer_case("axis", 'type: "ContinuationIndicator" continuation_indicator_param { time_step: 2 axis: -1 }', [(3, 5)],
               expected=[np.array([[0] * 5, [1] * 5])], gradient=False),
    layer_case("alone", 'type: "ContinuationIndicator" continuation_indicator_param { time_step: 1 batch_size: 2 }',
               [], expected=[np.zeros((1, 2))], gradient=False),
]  # fmt: skip

LABELSEQUENCE_ACCURACY = [
    layer_case("plain", 'type: "LabelsequenceAccuracy"',
               [np.eye(3)[[[1, 1, 0, 1, 2], [0, 2, 2, 0, 0], [2, 1, 1, 1, 0]]],
                np.array([[1, 1, 2], [2, 0, 0], [2, 1, 1]])], expected=[np.array(2 / 3)], gradient=False),
    layer_case("blank_last", 'type: "LabelsequenceAccuracy" labelsequence_accuracy_param { blank_label: 3 }',
               [(6, 2, 4), labels(6, 3, 4)], gradient=False),
]  # fmt: skip

CTC_GREEDY_DECODER = [
    layer_case("plain", 'type: "CTCGreedyDecoder"', [(6, 3, 4), markers(6, 3)], gradient=False, batched=[],
               without=TIME),
    layer_case("scores", 'type: "CTCGreedyDecoder" ctc_decoder_param { blank_index: 0 ctc_merge_repeated: false }',
               [(6, 3, 4), markers(6, 3, 1)], tops=2, gradient=False, batched=[], without=TIME),
    layer_case("accuracy", 'type: "CTCGreedyDecoder"',
               [(6, 3, 4), markers(6, 3), lambda random: random.integers(-1, 3, (6, 3))], tops=2, gradient=False,
               batched=[], without=TIME),
    layer_case("all", 'type: "CTCGreedyDecoder"',
               [(6, 3, 4), np.ones((6, 3)), lambda random: random.integers(-1, 3, (4, 3))], tops=3, gradient=False,
               batched=[], without=TIME),
]  # fmt: skip

LSTM = [
    layer_case("plain", f'type: "Lstm" lstm_param {{ num_output: 3 {FILLED} }}', [(4, 2, 5)], without=TIME),
    layer_case("maps", f'type: "Lstm" lstm_param {{ num_output: 2 {FILLED} }}', [(3, 2, 2, 2)], without=TIME),
    layer_case("begins_once", f'type: "Lstm" lstm_param {{ num_output: 3 {FILLED} }}',
               [(4, 2, 3), np.array([[0, 0], [1, 1], [1, 1], [1, 1]])], without=TIME),
    layer_case("markers", f'type: "Lstm" lstm_param {{ num_output: 3 {FILLED} }}', [(5, 2, 3), markers(5, 2)],
               without={**TIME, **RESTARTS}),
    layer_case("clipped", f'type: "Lstm" lstm_param {{ num_output: 3 clipping_threshold: 0.1 {FILLED} }}', [(4, 2, 3)],
               without={**TIME, "gradients": "it is cut off"}),
]  # fmt: skip

TRANSPOSE = [
    layer_case("plain", 'type: "Transpose" transpose_param { dim: [2, 0, 1] }', [(3, 2, 4)], batched=[]),
    layer_case("batch_first", 'type: "Transpose" transpose_param { dim: [0, 2, 3, 1] }', [(2, 3, 4, 5)]),
]

REVERSE = [
    layer_case("plain", 'type: "Reverse"', [(4, 3, 2)], batched=[]),
    layer_case("axis", 'type: "Reverse" reverse_param { axis: 2 }', [(2, 3, 4)]),
]

CASES: list[LayerCase] = [
    *CTC_LOSS,
    *CONTINUATION_INDICATOR,
    *LABELSEQUENCE_ACCURACY,
    *CTC_GREEDY_DECODER,
    *LSTM,
    *TRANSPOSE,
    *REVERSE,
]
