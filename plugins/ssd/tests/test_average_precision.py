"""Average precision: against the definitions, and what a solver makes of the tables of DetectionEvaluate."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import bicerin
from bicerin.errors import SolverError
from bicerin_ssd.average_precision import average_precision

SOLVER = 'base_lr: 1 lr_policy: "fixed" max_iter: 2 test_iter: 2 test_interval: 2 snapshot_after_train: false\n'
NETS = """
net_param { layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } } }
test_net_param {
  layer { name: "in" type: "Input" top: "found" top: "truth" input_param {
    shape { dim: 1 dim: 1 dim: 4 dim: 7 } shape { dim: 1 dim: 1 dim: 3 dim: 8 } } }
  layer { name: "eval" type: "DetectionEvaluate" bottom: "found" bottom: "truth" top: "eval"
    detection_evaluate_param { num_classes: 4 evaluate_difficult_gt: false } }
}
"""
BOX = (0.1, 0.1, 0.4, 0.4)
ELSEWHERE = (0.6, 0.6, 0.9, 0.9)


def by_definition(version, right, objects):
    found = np.cumsum(right)
    precision = [np.float32(n / (i + 1)) for i, n in enumerate(found)]
    recall = [np.float32(n / objects) for n in found]
    if version == "11point":
        return np.mean([max((p for p, r in zip(precision, recall, strict=True) if float(r) >= x / 10), default=0)
                        for x in range(11)])  # fmt: skip
    area, before = 0.0, 0.0
    for i, r in enumerate(recall):
        height = max(precision[i:]) if version == "MaxIntegral" else precision[i]
        area += (r - before) * height
        before = r
    return area


@pytest.mark.parametrize("version", ["11point", "MaxIntegral", "Integral"])
@pytest.mark.parametrize("seed", range(20))
def test_definitions(version, seed):
    random = np.random.default_rng(seed)
    right = random.random(int(random.integers(1, 40))) < 0.6
    objects = max(1, int(right.sum()) + int(random.integers(0, 5)))
    found = average_precision(version, right, objects)
    assert np.isclose(found, by_definition(version, right, objects), rtol=1e-5)
    assert 0 <= found <= 1 + 1e-6


@pytest.mark.parametrize(
    ("version", "right", "objects", "expected"),
    [
        ("Integral", [1, 0, 1], 2, 0.5 + 0.5 * 2 / 3),
        ("MaxIntegral", [0, 1, 1], 2, 2 / 3),
        ("Integral", [0, 1, 1], 2, 0.5 * 0.5 + 0.5 * 2 / 3),
        ("11point", [1, 0, 1], 2, (6 + 5 * 2 / 3) / 11),
        ("11point", [1] * 7, 10, 7 / 11),  # 0.7 in float32 is less than 0.7.
        ("11point", [1] * 6, 10, 7 / 11),  # 0.6 is not.
        ("Integral", [], 3, 0),
        ("MaxIntegral", [0, 0], 0, 0),
    ],
)
def test_by_hand(version, right, objects, expected):
    assert average_precision(version, np.array(right, bool), objects) == pytest.approx(expected, rel=1e-6)


def judging(options=""):
    """A solver whose test net is given two batches: two objects of class 1, one of 2, and of 3 a difficult one."""
    made = bicerin.Solver(SOLVER + NETS + options)
    found = [
        [(0, 1, 0.9, *BOX), (0, 1, 0.8, *ELSEWHERE), (0, 2, 0.3, *BOX), (0, 3, 0.5, *BOX)],
        [(0, 1, 0.7, *BOX), (0, 1, 0.6, *BOX), (0, 2, 0.2, *ELSEWHERE), (0, 2, 0.1, *BOX)],
    ]
    truth = [
        [(0, 1, 0, *BOX, 0), (0, 3, 0, *BOX, 1), [-1] * 8],
        [(0, 1, 0, *BOX, 0), (0, 2, 0, *ELSEWHERE, 0), [-1] * 8],
    ]
    net = made.test_nets[0]
    passes = []

    def give(index):
        if index == 0:
            number = len(passes) % 2
            passes.append(number)
            net.blobs["found"].data[...] = found[number]
            net.blobs["truth"].data[...] = truth[number]

    net.before_forward.append(give)
    return made


#: Class 1: right, wrong, right, wrong of 2; class 2: wrong, right, wrong of 1; class 3: nothing that counts.
@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("Integral", [0.5 + 0.5 * 2 / 3, 0.5, 0]),
        ("MaxIntegral", [0.5 + 0.5 * 2 / 3, 0.5, 0]),
        ("11point", [(6 + 5 * 2 / 3) / 11, 0.5, 0]),
    ],
)
def test_a_solver_tests_with_it(version, expected, caplog):
    made = judging(f'eval_type: "detection" ap_version: "{version}" show_per_class_result: true')
    with caplog.at_level(logging.INFO):
        results = made.test()
    assert results == {"eval": pytest.approx(np.mean(expected), rel=1e-6)}
    lines = caplog.text
    for label, precision in enumerate(expected, 1):
        assert f"class{label}: {precision:g}" in lines
    assert f"Test net output #0: eval = {np.mean(expected):g}" in lines
    assert "no detections of class 3" in lines


def test_without_asking_for_classes(caplog):
    with caplog.at_level(logging.INFO):
        judging().test()
    assert "class1" not in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('eval_type: "segmentation"', "Unknown evaluation type: segmentation"),
        ('eval_type: "detection" ap_version: "12point"', 'Unknown ap_version: 12point; there are "11point"'),
    ],
)
def test_unknown_names(options, message):
    with pytest.raises(SolverError, match=message):
        judging(options).solve()
