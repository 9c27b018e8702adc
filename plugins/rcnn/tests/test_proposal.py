"""Anchors, boxes and their choice."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_rcnn import proposal_kernels as kernels
from bicerin_rcnn.anchors import anchors

INFO = np.array([[64.0, 80.0, 1.0]])
ONE = "ratio: 1 scale: 1 feat_stride: 16 min_size: 1"


def proposal(options: str) -> str:
    return f'type: "Proposal" proposal_param {{ {options} }}'


def test_anchors_are_those_of_faster_rcnn() -> None:
    """The nine boxes that Faster R-CNN is known by, as its authors print them."""
    assert anchors(16, (0.5, 1, 2), (8, 16, 32)).tolist() == [
        [-84, -40, 99, 55], [-176, -88, 191, 103], [-360, -184, 375, 199],
        [-56, -56, 71, 71], [-120, -120, 135, 135], [-248, -248, 263, 263],
        [-36, -80, 51, 95], [-80, -168, 95, 183], [-168, -344, 183, 359],
    ]  # fmt: skip


def test_a_box_follows_its_deltas(device: str) -> None:
    """The anchor at (1, 2) of 16 x 16 pixels moves by half its width and a quarter of its height, twice as wide."""
    scores, deltas = np.zeros((1, 2, 4, 5)), np.zeros((1, 4, 4, 5))
    scores[0, 1, 1, 2] = 0.9
    deltas[0, :, 1, 2] = 0.5, 0.25, np.log(2), 0
    run = run_layer(
        proposal(f"{ONE} post_nms_topn: 1"), [scores, deltas, INFO], tops=2, dtype=np.float64, device=device
    )
    run.forward()
    # centre (40, 24) + (8, 4), reach (16, 8)
    assert np.allclose(run.top[0].data, [[0, 32, 20, 64, 36]])
    assert run.top[1].data.tolist() == [0.9]


def test_boxes_are_cut_off_at_the_image_and_small_ones_come_last(device: str) -> None:
    scores, deltas = np.zeros((1, 2, 1, 2)), np.zeros((1, 4, 1, 2))
    scores[0, 1, 0] = 0.5, 0.8
    deltas[0, 0, 0, 1] = 3  # far to the right of the image
    options = "ratio: 1 scale: 1 min_size: 4 post_nms_topn: 2"
    run = run_layer(proposal(options), [scores, deltas, [[12, 30, 2]]], tops=2, device=device)
    run.forward()
    assert run.top[0].data.tolist() == [[0, 0, 0, 16, 11], [0, 29, 0, 29, 11]]
    assert run.top[1].data.tolist() == [0.5, 0]


def test_images_differ(device: str) -> None:
    """Each has its own size and best box; R is the sum."""
    random = np.random.default_rng(1)
    scores, deltas = random.random((2, 2, 3, 4)), random.normal(size=(2, 4, 3, 4)) / 4
    info = np.array([[48, 64, 1], [30, 40, 2.0]])
    run = run_layer(proposal(f"{ONE} nms_thresh: 0.3"), [scores, deltas, info], tops=2, device=device)
    run.forward()
    boxes, found = run.top[0].data, run.top[1].data
    assert len(found) == len(boxes) and set(boxes[:, 0]) == {0, 1}
    for image in (0, 1):
        alone = run_layer(
            proposal(f"{ONE} nms_thresh: 0.3"), [scores[[image]], deltas[[image]], info[[image]]], device=device
        )
        alone.forward()
        assert np.array_equal(alone.top[0].data[:, 1:], boxes[boxes[:, 0] == image, 1:])
        assert (np.diff(found[boxes[:, 0] == image]) <= 0).all()
        height, width, _ = info[image]
        assert (alone.top[0].data[:, 1:] <= [width - 1, height - 1] * 2).all() and (alone.top[0].data >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_equal_their_references(dtype: type) -> None:
    random = np.random.default_rng(2)
    scores, deltas = random.random((9, 5, 6)).astype(dtype), random.normal(size=(9, 4, 5, 6)).astype(dtype)
    boxes, again = np.empty((270, 5), dtype), np.empty((270, 5), dtype)
    base = anchors(16, (0.5, 1, 2), (1, 2, 4)).astype(dtype)
    for decode, out in ((kernels.decode_image, boxes), (kernels.decode_image_reference, again)):
        decode(scores, deltas, base, 16, (dtype(75), dtype(90)), (dtype(20), dtype(16)), out)
    assert np.allclose(boxes, again, rtol=1e-5, atol=1e-4)
    assert 0 < (boxes[:, 4] == 0).sum() < len(boxes)
    best = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    for threshold, most in ((0.7, 300), (0.3, 300), (0.3, 5), (1.0, 300)):
        kept = kernels.suppress_image(best, dtype(threshold), most)
        assert np.array_equal(kept, kernels.suppress_image_reference(best, dtype(threshold), most))
        assert np.array_equal(kept, suppress_by_definition(best, threshold, most))


def suppress_by_definition(boxes: np.ndarray, threshold: float, most: int) -> list[int]:
    kept: list[int] = []
    for i, box in enumerate(boxes):
        if len(kept) < most and all(overlap(box, boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union, pixels at the corners included."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + 1, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + 1, 0)
    areas = ((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize("options", ["", "nms_thresh: 0.3 post_nms_topn: 40", "pre_nms_topn: 600 min_size: 50"])
@pytest.mark.parametrize("images", [0, 1, 3])
def test_a_device_proposes_the_same_boxes(options: str, images: int, device: str) -> None:
    """Of thousands, with equal scores among them; overlaps are compared with a threshold, so the boxes are exact."""
    generator = np.random.default_rng(6)
    scores, deltas = (
        generator.integers(0, 500, (images, 18, 12, 17)) / 512,
        generator.normal(size=(images, 36, 12, 17)) / 4,
    )
    info = np.array([[190.0, 270, 1.5], [180, 250, 2], [150, 200, 1]])[:images] if images else [[190.0, 270, 1.5]]
    tops = []
    for where in ("cpu", device):
        run = run_layer(proposal(options), [scores, deltas, info], tops=2, device=where)
        run.forward()
        tops.append([blob.read_only.data for blob in run.top])
    for mine, theirs in zip(*tops, strict=True):
        assert mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=1e-5, atol=1e-4)
    assert bool(images) == bool(len(tops[0][1]))


def test_nothing_is_passed_down(device: str) -> None:
    run = run_layer(proposal(ONE), [np.zeros((1, 2, 1, 1)), np.zeros((1, 4, 1, 1)), INFO], device=device)
    run.forward()
    run.bottom[0].diff.fill(5)
    run.backward([True, False, False])
    assert (run.bottom[0].diff == 0).all()


@pytest.mark.parametrize(("options", "shapes", "error", "words"), [
    ("", [(1, 2, 3, 3), (1, 36, 3, 3), (1, 3)], ShapeError, r"in0 must have the shape \(1, 18, 3, 3\)"),
    ("", [(1, 18, 3, 3), (1, 36, 3, 2), (1, 3)], ShapeError, r"in1 must have the shape \(1, 36, 3, 3\)"),
    ("", [(1, 18, 3, 3), (1, 36, 3, 3), (1, 2)], ShapeError, "height and width of an image and its scale"),
    ("feat_stride: 0", [(1, 18, 3, 3), (1, 36, 3, 3), (1, 3)], LayerError, "feat_stride must be > 0"),
    ("ratio: -1", [(1, 18, 3, 3), (1, 36, 3, 3), (1, 3)], LayerError, "must be > 0"),
])  # fmt: skip
def test_errors(options: str, shapes: list[tuple[int, ...]], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(proposal(options), [np.zeros(shape) for shape in shapes])
