"""Values by their definitions, what anneals, what the forks disagree on, and errors."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_face.angular_margin import psi

random = np.random.default_rng(0)


def forward(text: str, *inputs: np.ndarray, **options):  # type: ignore[no-untyped-def]
    run = run_layer(text, inputs, dtype=np.float64, **options)
    run.forward()
    return run


@pytest.mark.parametrize("multiple", [1, 2, 3, 4])
def test_psi(multiple: int) -> None:
    """(-1)^k cos(m θ) - 2k in the k-th piece of the half turn, which falls all along; and its derivative."""
    angle = np.linspace(0.011, np.pi - 0.011, 500)
    piece = np.floor(angle * multiple / np.pi)
    value, slope = psi(np, multiple, np.cos(angle))
    assert np.allclose(value, (-1) ** piece * np.cos(multiple * angle) - 2 * piece)
    assert (np.diff(value) < 0).all()
    step = 1e-6
    numeric = (psi(np, multiple, np.cos(angle) + step)[0] - psi(np, multiple, np.cos(angle) - step)[0]) / (2 * step)
    assert np.allclose(slope, numeric, atol=1e-4)


@pytest.mark.parametrize("first_power", [True, False])
@pytest.mark.parametrize("shape", [(5, 3, 4), (33, 70, 129)])
def test_distances_and_their_gradients(first_power: bool, shape: tuple[int, int, int], device: str) -> None:
    items, classes, features = shape
    x, w = random.normal(size=(items, features)), random.normal(size=(classes, features))
    kind = "L1" if first_power else "L2"
    text = f'type: "InnerDistance" inner_distance_param {{ num_output: {classes} distance_type: "{kind}" }}'
    run = forward(text, x, parameters=[w], device=device)
    delta = x[:, None] - w
    assert np.allclose(run.top[0].read_only.data, (np.abs(delta) if first_power else delta**2).sum(axis=2))
    seed = random.normal(size=(items, classes))
    run.top[0].diff[...] = seed
    run.backward()
    slope = (np.sign(delta) if first_power else 2 * delta) * seed[..., None]
    assert np.allclose(run.bottom[0].read_only.diff, slope.sum(axis=1))
    assert np.allclose(run.blobs[0].read_only.diff, -slope.sum(axis=0))


def test_small_distances_keep_their_digits() -> None:
    """|x|² - 2x·w + |w|² would lose all of them in float32."""
    w = np.full((1, 8), 1000, np.float32)
    run = run_layer('type: "InnerDistance" inner_distance_param { num_output: 1 }', [w + 0.125], parameters=[w])
    run.forward()
    assert run.top[0].data[0, 0] == 8 * 0.125**2


ANNEALED = {
    "MarginInnerProduct": "margin_inner_product_param { num_output: 3 type: DOUBLE base: 9 gamma: 1 power: 1 "
    'lambda_min: 2 iteration: 1 weight_filler { type: "xavier" } }',
    "LargeMarginInnerProduct": "largemargin_inner_product_param { num_output: 3 type: DOUBLE base: 9 gamma: 1 power: 1 "
    'lambda_min: 2 iteration: 1 weight_filler { type: "xavier" } }',
    "LabelSpecificAdd": "label_specific_add_param { bias_base: 1 bias_gamma: 1 bias_min: 0 bias_max: 5 iteration: 2 }",
}
EXPECTED = {"LabelSpecificAdd": [3, 4, 5, 5, 5], None: [3, 9 / 4, 2, 2, 2]}


@pytest.mark.parametrize("kind", ANNEALED)
def test_what_anneals_is_in_snapshots(kind: str, device: str) -> None:
    text = f'type: "{kind}" {ANNEALED[kind]}'
    inputs = [random.normal(size=(4, 3)), random.integers(0, 3, 4)]

    def passes(run, number):  # type: ignore[no-untyped-def]
        found = []
        for _ in range(number):
            run.forward()
            found.append([np.array(blob.read_only.data) for blob in run.top])
        return found

    run = run_layer(text, inputs, tops=2, dtype=np.float64, device=device)
    whole = passes(run, 2)
    state = json.loads(json.dumps(run.layer.state()))
    parameters = [np.array(blob.read_only.data) for blob in run.blobs]
    whole += passes(run, 3)
    assert np.allclose([tops[1][0] for tops in whole], EXPECTED.get(kind, EXPECTED[None]))
    resumed = run_layer(text, inputs, tops=2, dtype=np.float64, device=device, parameters=parameters)
    resumed.layer.restore_state(state)
    for expected, found in zip(whole[2:], passes(resumed, 3), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(expected, found, strict=True))


def test_the_margin_is_at_the_label_alone() -> None:
    x, w, label = random.normal(size=(6, 4)), random.normal(size=(3, 4)), random.integers(0, 3, 6)
    text = 'type: "LargeMarginInnerProduct" largemargin_inner_product_param { num_output: 3 type: DOUBLE base: 0 }'
    y = forward(text, x, label, parameters=[w], tops=1).top[0].data
    lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(w, axis=1)
    cosine = x @ w.T / lengths
    expected = x @ w.T
    for n, k in enumerate(label):
        piece = np.floor(np.arccos(cosine[n, k]) * 2 / np.pi)
        expected[n, k] = lengths[n, k] * ((-1) ** piece * np.cos(2 * np.arccos(cosine[n, k])) - 2 * piece)
    assert np.allclose(y, expected)


@pytest.mark.parametrize(("option", "times"), [("", 1), ('distance_type: "L2"', 3), ("once_an_item: true", 3)])
def test_how_far_a_center_moves(option: str, times: int, device: str) -> None:
    x, c = random.normal(size=(4, 2)), random.normal(size=(2, 2))
    text = f'type: "CenterLoss" loss_weight: 3 center_loss_param {{ num_output: 2 {option} }}'
    run = forward(text, x, np.array([1, 0, 1, 1]), parameters=[c], device=device)
    run.backward([True, False])
    moved = -run.blobs[0].read_only.diff
    assert np.allclose(moved[0], (x[1] - c[0]) / 2)
    assert np.allclose(moved[1], times * (x[[0, 2, 3]] - c[1]).sum(axis=0) / 4)
    assert np.allclose(run.bottom[0].read_only.diff[0], 3 * (x[0] - c[1]) / 4)


TWO_MEANINGS = [
    ('type: "CenterLoss" loss_weight: 1 center_loss_param { num_output: 3 %s }',
     {"": "once for all items .*ydwen.*happynear's Caffe moves it once for each", 'distance_type: "L2"': None,
      "once_an_item: false": None, "once_an_item: true": None}),
    ('type: "FocalLoss" focal_loss_param { %s }',
     {"": "to be 1, as in happynear's fork.*multiply it by 0.25", "balanced: true": None,
      "alpha: 0.5": "alpha of 0.5 multiplies the loss.*happynear's takes .alpha - p", "alpha: 1": None,
      "balanced: false": None, "alpha: 0.5 balanced: true": None, "type: ONEADDP": None}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"), [(text % option, words) for text, options in TWO_MEANINGS for option, words in options.items()]
)
def test_a_text_of_two_meanings_is_warned_of(text: str, words: str | None, caplog: pytest.LogCaptureFixture) -> None:
    run_layer(text, [SCORES, np.zeros(2)])
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (words is not None)
    assert words is None or re.search(words, warnings[0])


def test_a_center_loss_without_a_weight_says_so(caplog: pytest.LogCaptureFixture) -> None:
    run_layer('type: "CenterLoss" center_loss_param { num_output: 2 }', [np.zeros((1, 2)), np.zeros(1)])
    assert "CenterLoss has no loss_weight" in caplog.text


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        ("bias_term: true", True),
        ("bias_filler { value: 3 }", True),
        ("bias_term: true bias_filler { value: 3 }", True),
        ("bias_term: false bias_filler { value: 3 }", False),
        ("", False),
    ],
)
def test_a_bias_of_distances_has_no_effect_and_is_said(
    options: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    text = f'type: "InnerDistance" inner_distance_param {{ num_output: 2 weight_filler {{ value: 1 }} {options} }}'
    run = forward(text, np.array([[0.0, 3], [1, 1]]))
    assert run.top[0].data.tolist() == [[5, 5], [0, 0]]
    said = [record.getMessage() for record in caplog.records if record.name == "bicerin.layer"]
    no_bias = "InnerDistance has no bias; bias_term and bias_filler have no effect, as in happynear's fork"
    assert said == ([no_bias] if warns else [])


def test_balanced_focal_loss() -> None:
    scores, label = random.normal(size=(5, 3)), random.integers(0, 3, 5)
    p = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))[np.arange(5), label]
    for options, alpha, gamma in (("", 1, 2), ("balanced: true", 0.25, 2), ("alpha: 0.5 gamma: 1", 0.5, 1)):
        loss = forward(f'type: "FocalLoss" focal_loss_param {{ {options} }}', scores, label).top[0].data
        assert np.isclose(loss, np.mean(-alpha * (1 - p) ** gamma * np.log(p)))


def test_focal_loss_of_what_is_sure() -> None:
    run = forward(
        'type: "FocalLoss" focal_loss_param { gamma: 0.5 }', np.array([[900.0, 0], [900, 0]]), np.array([0, 1])
    )
    run.backward([True, False])
    assert np.isfinite(run.top[0].data)
    assert np.isfinite(run.bottom[0].diff).all()


SCORES = np.zeros((2, 3))


@pytest.mark.parametrize(("text", "inputs", "error", "words"), [
    ('type: "CenterLoss" center_loss_param { num_output: 3 distance_type: "L3" }', [SCORES, np.zeros(2)], LayerError,
     'distance_type is "L3"; it is "L2" or "L1"'),
    ('type: "CenterLoss" center_loss_param { num_output: 3 }', [SCORES, np.zeros(3)], ShapeError,
     "a label for each of the 2 items, not 3"),
    ('type: "MarginInnerProduct"', [SCORES, np.zeros(2)], ShapeError, "num_output"),
    ('type: "InnerDistance" inner_distance_param { num_output: 2 transpose: true }', [SCORES], LayerError, "transpose"),
    ('type: "InnerDistance" inner_distance_param { num_output: 2 update_center_only: true }', [SCORES], LayerError,
     "items, weights if there is no blob, and labels"),
    ('type: "GeneralContrastiveLoss" general_contrastive_loss_param { add_intra_mae: true }', [SCORES, np.zeros(2)],
     LayerError, "add_intra_mae is not known"),
    ('type: "GeneralContrastiveLoss" general_contrastive_loss_param { square: true }', [SCORES, np.zeros(2)],
     LayerError, "square has no effect"),
    ('type: "GeneralContrastiveLoss" general_contrastive_loss_param { max_negative_margin: 2 }', [SCORES, np.zeros(2)],
     LayerError, "max_negative_margin belongs to add_intra_mae"),
    ('type: "LabelSpecificAdd" label_specific_add_param { transform_test: true }', [SCORES, np.zeros(2)], LayerError,
     "added in TRAIN alone"),
    ('type: "FocalLoss" focal_loss_param { alpha: 0.5 balanced: false }', [SCORES, np.zeros(2)], LayerError,
     "has no right gradient"),
    ('type: "FocalLoss" focal_loss_param { type: ONEADDP balanced: true }', [SCORES, np.zeros(2)], LayerError,
     "ONEADDP is happynear's"),
    ('type: "TripletLoss"', [SCORES, SCORES, np.zeros((2, 2))], ShapeError, "must have one shape"),
    ('type: "Flip"', [SCORES], ShapeError, "planes are wanted"),
    ('type: "Pairwise" pairwise_param { coeff: 1 }', [SCORES, SCORES], LayerError, "there are two"),
    ('type: "Truncation" truncation_param { lower_bound: 9 }', [SCORES], LayerError, "more than upper_bound"),
    ('type: "SoftTruncation" soft_truncation_param { c: 0 }', [SCORES], LayerError, "must not be 0"),
    ('type: "ChannelScale"', [np.zeros((2, 3, 2)), SCORES], ShapeError, "a number for each place"),
])  # fmt: skip
def test_what_is_refused(text: str, inputs: list[np.ndarray], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        forward(text, *inputs)


@pytest.mark.parametrize("text", [
    'type: "CenterLoss" loss_weight: 1 center_loss_param { num_output: 3 }', 'type: "GeneralContrastiveLoss"',
    'type: "GeneralTripletLoss"', 'type: "LabelSpecificAdd"', 'type: "FocalLoss"',
    'type: "LargeMarginInnerProduct" largemargin_inner_product_param { num_output: 3 }',
])  # fmt: skip
def test_labels_that_cannot_be(text: str) -> None:
    with pytest.raises(LayerError, match=r"label 3 at .* is out of range"):
        forward(text, np.ones((2, 3)), np.array([0, 3]))
