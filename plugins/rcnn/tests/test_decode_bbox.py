"""DecodeBBox of Cascade R-CNN at TRAIN, against its definition: which boxes are kept, and in which order."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.testing import LayerRun, run_layer

REGIONS = np.array([[0, 0, 0, 40, 24], [1, 8, 4, 30, 30], [1, 60, 60, 90, 90], [0, 30, 20, 12, 9], [1, 16, 12, 16, 12]])
OVERLAPS = np.array([0.1, 0.9, 0.6, 0.2, 0.7])
DELTAS = np.random.default_rng(8).normal(size=(5, 8)) * 0.5


def decode(rows: np.ndarray, overlaps: np.ndarray = OVERLAPS) -> LayerRun:
    objects = np.zeros((5, 5))
    objects[:, 4] = overlaps
    text = 'type: "DecodeBBox" decode_bbox_param { gt_iou_thr: 0.65 }'
    run = run_layer(text, [DELTAS[rows], REGIONS[rows], objects[rows]], dtype=np.float64)
    run.forward()
    return run


@pytest.mark.parametrize("rows", [np.arange(5), np.arange(5)[::-1], np.array([2, 0, 4, 1, 3])])
def test_regions_far_from_their_objects_are_kept_in_order(rows: np.ndarray) -> None:
    """The second and fifth overlap their objects too much, the fourth is turned round."""
    expected = []
    for row in rows:
        image, x1, y1, x2, y2 = REGIONS[row]
        a, b, c, d = DELTAS[row, 4:]
        width, height = x2 - x1 + 1, y2 - y1 + 1
        x, y = (x1 + x2) / 2 + a * width, (y1 + y2) / 2 + b * height
        across, down = (width * np.exp(c) - 1) / 2, (height * np.exp(d) - 1) / 2
        if across >= 0 and down >= 0 and OVERLAPS[row] < 0.65:
            expected.append([image, x - across, y - down, x + across, y + down])
    run = decode(rows)
    assert run.top[0].shape == (len(expected), 5, 1, 1) == (2, 5, 1, 1)
    np.testing.assert_allclose(run.top[0].data[:, :, 0, 0], expected, rtol=1e-12)


def test_no_box_is_kept() -> None:
    assert decode(np.arange(5), np.ones(5)).top[0].shape == (0, 5, 1, 1)
