"""What the layers refuse, and what DiceCoefLoss keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer

IMAGE = (1, 2, 3, 3)
LABELS = (1, 1, 3, 3)


def dice(options: str) -> str:
    return f'type: "DiceCoefLoss" dice_coef_loss_param {{ {options} }}'


def unpooling(options: str) -> str:
    return f'type: "Unpooling" unpooling_param {{ {options} }}'


@pytest.mark.parametrize(("text", "shapes", "error", "words"), [
    (dice("weight_mode: EQUALIZE_CLASSES"), [IMAGE, LABELS], LayerError, "weight_mode has no effect"),
    (dice("ignore_label: 1"), [IMAGE, LABELS], LayerError, "ignore_label has no effect"),
    (dice("contour_size: 5 weights: 'w'"), [IMAGE, LABELS], LayerError, "weights, contour_size of dice"),
    (dice(""), [IMAGE, IMAGE], ShapeError, r"the labels must have the shape \(1, 1, 3, 3\)"),
    (unpooling("kernel_size: 2"), [IMAGE], ShapeError, "unpool_size, or unpool_h and unpool_w, are required"),
    (unpooling("unpool_size: 6"), [IMAGE], ShapeError, "kernel_size, or kernel_h and kernel_w, are required"),
    (unpooling("kernel_size: 2 unpool_size: 6 pad: 1"), [IMAGE], LayerError, "pad must be 0"),
    (unpooling("kernel_size: 2 unpool_size: 6 unpool: REP"), [IMAGE], LayerError, "unpool: REP is not known"),
    (unpooling("kernel_size: 2 unpool_size: 6 unpool: TILE"), [IMAGE, IMAGE], LayerError, "a mask is for unpool: MAX"),
    ('type: "UnPooling" unpooling_param { out_kernel_size: 2 unpool: TILE }', [IMAGE], LayerError, "TILE is not known"),
    ('type: "ParseEvaluate"', [LABELS, LABELS], LayerError, "must give num_labels"),
    ('type: "ParseEvaluate" parse_evaluate_param { num_labels: 2 }', [IMAGE, IMAGE], ShapeError, r"\(1, 1, 3, 3\)"),
    ('type: "ParseOutput"', [(1, 0, 3, 3)], ShapeError, "there must be a channel"),
])  # fmt: skip
def test_errors(text: str, shapes: Sequence[tuple[int, ...]], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(text, [np.zeros(shape) for shape in shapes])


@pytest.mark.parametrize(
    ("text", "classes"), [(dice(""), 2), ('type: "ParseEvaluate" parse_evaluate_param { num_labels: 3 }', 1)]
)
@pytest.mark.parametrize("label", [3, -1, np.nan])
def test_a_label_that_is_no_class(text: str, classes: int, label: float) -> None:
    with pytest.raises(LayerError, match=r"is no class \(1 of 4 are not\)"):
        run_layer(text, [np.ones((1, classes, 2, 2)), [[[[0, 1], [1, label]]]]]).forward()


def test_dice_without_a_label() -> None:
    """A pixel whose label is ignored and no class has none: what is there of x counts against it."""
    x = np.array([0.25, 0.5, 0.75, 0.5]).reshape(1, 2, 1, 2)
    run = run_layer(dice("generalization: MULTICLASS ignore_label: 255"), [x, [[[[1, 255]]]]], dtype="float64")
    run.forward()
    assert float(run.top[0].data) == pytest.approx(1 - (1 + 2 * 0.75) / (1 + np.square(x).sum() + 1))


def test_dice_of_all_volumes_goes_on(device: str) -> None:
    """The volumes of all items until now, which a snapshot keeps."""
    random = np.random.default_rng(5)
    batches = [(random.random((2, 2, 3, 4)), random.integers(0, 2, (2, 1, 3, 4))) for _ in range(3)]
    text = dice("generalization: MULTICLASS_WEIGHTED_ALL weight_mode: EQUALIZE_CLASSES")

    def losses(run, chosen) -> list[float]:
        found = []
        for batch in chosen:
            for blob, value in zip(run.bottom, batch, strict=True):
                blob.data[...] = value
            run.forward()
            found.append(float(run.top[0].data))
        return found

    run = run_layer(text, batches[0], device=device, dtype="float64")
    first = losses(run, batches[:2])
    resumed = run_layer(text, batches[0], device=device, dtype="float64")
    resumed.layer.restore_state(run.layer.state())
    assert losses(resumed, batches[2:]) == losses(run, batches[2:])
    volumes = 1 + np.concatenate(
        [[(labels == k).sum(axis=(1, 2, 3)) for k in range(2)] for _, labels in batches[:2]], 1
    )
    weights = (1 / volumes.mean(axis=1))[:, None, None]
    x, labels = batches[1]
    target = np.concatenate([labels == 0, labels == 1], axis=1)
    dice_of = 2 * (weights * x * target).sum((1, 2, 3)) / (weights * (x * x + target)).sum((1, 2, 3))
    assert first[1] == pytest.approx(1 - dice_of.mean(), rel=1e-6)
    with pytest.raises(LayerError, match="the state is of 2 classes, the layer has 3"):
        run_layer(text, [np.ones((1, 3, 2, 2)), np.zeros((1, 1, 2, 2))]).layer.restore_state(run.layer.state())
