"""DetectionEvaluate: what is right and what is not, row by row; checks."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import DataError, LayerError, ShapeError
from bicerin_ssd.cases import FOUND, LEFT, RIGHT, UPPER, detection_evaluate


def detections(*rows):
    """Rows of image, label, score and box."""
    return np.array([(*row[:3], *row[3]) for row in rows])[None, None]


def truths(*rows):
    """Rows of image, label, box and perhaps whether it is difficult."""
    return np.array([(*row[:2], 0, *row[2], *(row[3:] or (0,))) for row in rows])[None, None]


def evaluate(run_layer, options, found, truth, dtype=np.float64):
    run = run_layer(detection_evaluate(options), [found, truth], dtype=dtype)
    run.forward()
    return run.top[0].data[0, 0].tolist()


def test_the_best_score_is_right_and_others_of_the_object_are_wrong(run_layer):
    found = detections((0, 1, 0.2, LEFT), (0, 1, 0.9, LEFT), (0, 1, 0.5, RIGHT))
    rows = evaluate(run_layer, "", found, truths((0, 1, LEFT), (0, 1, RIGHT)))
    assert np.allclose(rows[2:], [[0, 1, 0.9, 1, 0], [0, 1, 0.5, 1, 0], [0, 1, 0.2, 0, 1]])


@pytest.mark.parametrize(("threshold", "right"), [(0.3, 1), (0.49, 1), (0.51, 0)])
def test_the_threshold(run_layer, threshold, right):
    rows = evaluate(run_layer, f"overlap_threshold: {threshold}", detections((0, 1, 0.9, UPPER)), truths((0, 1, LEFT)))
    assert rows[2][3:] == [right, 1 - right]


@pytest.mark.parametrize(("option", "number", "status"), [("true", 2, [1, 0]), ("false", 1, [0, 0])])
def test_difficult_objects(run_layer, option, number, status):
    found = detections((0, 1, 0.9, LEFT), (0, 1, 0.8, RIGHT))
    rows = evaluate(run_layer, f"evaluate_difficult_gt: {option}", found, truths((0, 1, LEFT, 1), (0, 1, RIGHT)))
    assert rows[0] == [-1, 1, number, -1, -1]
    assert [row[3:] for row in rows[2:]] == [status, [1, 0]]


def test_images_without_objects_or_detections(run_layer):
    found = detections((0, -1, -1, (-1, -1, -1, -1)), (1, 2, 0.3, LEFT), (1, 2, 0.6, LEFT))
    rows = evaluate(run_layer, "", found, truths((0, 1, LEFT)))
    assert rows[:2] == [[-1, 1, 1, -1, -1], [-1, 2, 0, -1, -1]]
    # Where there is nothing to be found, they stay in order.
    assert np.allclose(rows[2:], [[1, 2, 0.3, 0, 1], [1, 2, 0.6, 0, 1]])


def test_ground_truth_ends_at_the_first_row_of_image_minus_1(run_layer):
    empty = (-1, -1, (-1, -1, -1, -1))
    rows = evaluate(run_layer, "", detections((0, 1, 0.9, LEFT)), truths(empty, (0, 1, LEFT)))
    assert rows == [[-1, 1, 0, -1, -1], [-1, 2, 0, -1, -1], [0, 1, 0.9, 0, 1]]


def test_no_detections_at_all(run_layer):
    nothing = np.full((1, 1, 2, 7), -1.0)
    assert len(evaluate(run_layer, "", nothing, truths((0, 1, LEFT)))) == 2


def test_another_background(run_layer):
    found, truth = detections((0, 0, 0.9, LEFT)), truths((0, 0, LEFT))
    rows = evaluate(run_layer, "background_label_id: 2", found, truth)
    assert rows == [[-1, 0, 1, -1, -1], [-1, 1, 0, -1, -1], [0, 0, 0.9, 1, 0]]


@pytest.mark.parametrize(("height", "right"), [(1000, 0), (10, 1)])
def test_in_pixels(run_layer, tmp_path, height, right):
    """An edge of one pixel counts, which brings a low image's overlap above the threshold."""
    (tmp_path / "sizes").write_text(f"first {height} 100\nsecond 10 10\n")
    options = f'name_size_file: "{tmp_path}/sizes" overlap_threshold: 0.52'
    run = run_layer(detection_evaluate(options), [detections((0, 1, 0.9, UPPER)), truths((0, 1, LEFT))])
    results = []
    for _ in range(3):
        run.forward()
        results.append(run.top[0].data[0, 0, 2, 3:].tolist())
    # (4 + 1) * (5 + 1) / ((4 + 1) * (10 + 1)) in the second image, and then the list begins anew.
    assert results == [[right, 1 - right], [1, 0], [right, 1 - right]]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('type: "DetectionEvaluate"', LayerError, "Must provide num_classes"),
        (
            'type: "DetectionEvaluate" detection_evaluate_param { num_classes: 4294967295 }',
            ShapeError,
            "exact up to 16777216",
        ),
        (detection_evaluate("overlap_threshold: 0"), LayerError, "overlap_threshold must be non negative"),
        (detection_evaluate('name_size_file: "/none"'), DataError, "Failed to open name size file"),
    ],
)
def test_wrong_options(run_layer, text, error, message):
    with pytest.raises(error, match=message):
        run_layer(text, FOUND)


def test_wrong_inputs(run_layer):
    with pytest.raises(ShapeError, match="detections has the shape"):
        run_layer(detection_evaluate(), [np.zeros((1, 1, 2, 8)), FOUND[1]])
    with pytest.raises(LayerError, match="Found background label in the detection results: 0"):
        run_layer(detection_evaluate(), [detections((0, 0, 0.9, LEFT)), FOUND[1]]).forward()
