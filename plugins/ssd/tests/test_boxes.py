"""The arithmetic of boxes: overlaps, codes, matching, suppression, each against loops or its inverse."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import LayerError
from bicerin.schema.installed_schema import schema
from bicerin_ssd.box_code import decode, encode
from bicerin_ssd.boxes import coverages, crossing, in_pixels, overlaps, projected, sizes
from bicerin_ssd.matching import IGNORED, match
from bicerin_ssd.suppression_kernels import suppress, suppress_reference

CODES = ("CORNER", "CENTER_SIZE", "CORNER_SIZE")


def some_boxes(number, seed=0, spread=0.5):
    random = np.random.default_rng(seed)
    corner = random.uniform(-0.1, 0.8, (number, 2))
    return np.hstack((corner, corner + random.uniform(0.05, spread, (number, 2))))


def overlap(one, other, pixels=0.0):
    """Of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width < 0 or height < 0:
        return 0.0
    areas = [(box[2] - box[0] + pixels) * (box[3] - box[1] + pixels) for box in (one, other)]
    shared = (width + pixels) * (height + pixels)
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("normalized", [True, False])
def test_overlaps(normalized):
    boxes, others = some_boxes(20), some_boxes(15, seed=1)
    if not normalized:
        boxes, others = boxes * 100, others * 100
    found = overlaps(boxes, others, normalized)
    for i, j in np.ndindex(20, 15):
        assert np.isclose(found[i, j], overlap(boxes[i], others[j], 0.0 if normalized else 1.0))


def test_boxes_without_area():
    boxes = np.array([[0.5, 0.5, 0.4, 0.6], [0.2, 0.2, 0.2, 0.4], [0, 0, 1, 1]])
    assert sizes(boxes).tolist() == [0, 0, 1]
    assert overlaps(boxes[:2], boxes[2:]).tolist() == [[0], [0]]
    assert sizes(np.array([[1.0, 1, 1, 3]]), normalized=False).tolist() == [3]


def test_coverage_and_projection():
    half = np.array([[0.0, 0, 0.5, 1]])
    assert np.allclose(coverages(half, np.array([[0.25, 0, 1, 1]])), 0.5)
    inside, kept = projected(np.array([[0.25, 0, 1, 1], [0.5, 0, 1, 1]]), half[0])
    assert np.allclose(inside[0], [0.5, 0, 1, 1])
    assert kept.tolist() == [True, False]
    assert crossing(np.array([[0, 0, 1, 1], [-0.1, 0, 1, 1]])).tolist() == [False, True]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("scaled", [True, False])
def test_decode_is_the_inverse_of_encode(code, scaled):
    priors, boxes = some_boxes(30), some_boxes(30, seed=1)
    variances = np.random.default_rng(2).uniform(0.1, 1, (30, 4)) if scaled else None
    encoded = encode(code, priors, variances, boxes)
    decoded = decode(code, priors, variances, np.stack((encoded, encoded))[:, :, None])
    assert decoded.shape == (2, 30, 1, 4)
    assert np.allclose(decoded[1, :, 0], boxes)


def test_codes():
    prior, box, variance = np.array([[0.2, 0.2, 0.4, 0.6]]), np.array([[0.3, 0.1, 0.5, 0.3]]), np.full((1, 4), 0.5)
    assert np.allclose(encode("CORNER", prior, variance, box), [[0.2, -0.2, 0.2, -0.6]])
    assert np.allclose(encode("CORNER_SIZE", prior, None, box), [[0.5, -0.25, 0.5, -0.75]])
    assert np.allclose(encode("CENTER_SIZE", prior, None, box), [[0.5, -0.5, 0, np.log(0.5)]])


@pytest.mark.parametrize("code", ["CENTER_SIZE", "CORNER_SIZE"])
def test_a_prior_without_extent(code):
    prior = np.array([[0, 0, 1, 1], [0.2, 0.2, 0.2, 0.6]])
    with pytest.raises(LayerError, match=r"prior box 1 has no width or no height: 0\.2, 0\.2, 0\.2, 0\.6"):
        encode(code, prior, None, prior)
    with pytest.raises(LayerError, match="prior box 1"):
        decode(code, prior, None, np.zeros((1, 2, 1, 4)))


def test_a_variance_of_0():
    box = np.array([[0.0, 0, 1, 1]])
    with pytest.raises(LayerError, match="variances of prior boxes must be positive"):
        encode("CORNER", box, np.zeros((1, 4)), box)


def matched_by_loops(boxes, truths, threshold, ignore):
    """As SSD describes it, pair by pair."""
    indices, free = [-1] * len(boxes), set(range(len(truths)))
    if not free:
        return indices, [0.0] * len(boxes)
    pairs = {(i, j): overlap(box, truth) for i, box in enumerate(boxes) for j, truth in enumerate(truths)}
    for i, box in enumerate(boxes):
        if ignore and (min(box) < 0 or max(box) > 1):
            indices[i] = -2
    greatest = [
        0.0 if indices[i] == -2 else max((pairs[i, j] for j in range(len(truths)) if pairs[i, j] > 1e-6), default=0.0)
        for i in range(len(boxes))
    ]
    while True:
        left = [(i, j) for (i, j), shared in pairs.items() if indices[i] == -1 and j in free and shared > 1e-6]
        if not left:
            break
        i, j = max(left, key=lambda pair: (pairs[pair], -pair[0], -pair[1]))
        indices[i], greatest[i] = j, pairs[i, j]
        free.remove(j)
    for i in range(len(boxes)):
        if threshold is not None and indices[i] == -1 and greatest[i] >= threshold and greatest[i] > 1e-6:
            indices[i] = max(range(len(truths)), key=lambda j, i=i: (pairs[i, j], -j))
    return indices, greatest


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [None, 0.2, 0.5])
@pytest.mark.parametrize("ignore", [True, False])
def test_matching(seed, threshold, ignore):
    boxes, truths = some_boxes(40, seed), some_boxes(seed, seed + 100)
    boxes[5] = boxes[4]  # Equal overlaps.
    found, shared = match(boxes, truths, threshold=threshold, ignore_crossing=ignore)
    indices, greatest = matched_by_loops(boxes, truths, threshold, ignore)
    assert found.tolist() == indices
    assert np.allclose(shared, greatest)


def test_every_ground_truth_box_finds_a_prior_while_there_are_some():
    boxes = some_boxes(3)
    found, _ = match(boxes, np.repeat(boxes[:1], 5, axis=0), threshold=None, ignore_crossing=False)
    assert found[0] == 0
    assert match(boxes, boxes[:0], threshold=0.5, ignore_crossing=False)[0].tolist() == [-1] * 3
    beyond = np.array([[-0.5, 0, 0.5, 1.0]])
    assert match(beyond, beyond, threshold=0.5, ignore_crossing=True)[0].tolist() == [IGNORED]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("top_k", [-1, 0, 5])
@pytest.mark.parametrize(("threshold", "eta"), [(0.3, 1.0), (0.7, 0.9), (0.0, 1.0)])
def test_suppression_kernel(dtype, classes, top_k, threshold, eta):
    random = np.random.default_rng(3)
    boxes = np.stack([some_boxes(50 * classes, seed).reshape(50, classes, 4) for seed in range(2)]).astype(dtype)
    scores = random.random((2, 50, 3)).astype(dtype).round(1)  # Many are equal.
    results = []
    for function in (suppress, suppress_reference):
        kept, counts = np.full((2, 3, 50), -1), np.full((2, 3), -1)
        function(boxes, scores, 1, dtype(0.2), dtype(threshold), dtype(eta), top_k, kept, counts)
        results.append((counts.tolist(), [kept[i, c, : counts[i, c]].tolist() for i, c in np.ndindex(2, 3)]))
    assert results[0] == results[1]
    assert results[0][0][0][1] == 0
    if top_k == -1:
        assert 0 < results[0][0][0][0] < 50


def resize(text):
    from bicerin_proto import parse_text

    merged = schema()
    message = merged.plugin_type("bicerin-ssd", "ResizeParameter")()
    parse_text(text, message, merged)
    return message


@pytest.mark.parametrize(
    ("text", "image", "pixels", "area"),
    [
        (None, (100, 200), [20, 20, 100, 80], 81 * 61),
        ("height: 300 width: 300", (100, 200), [20, 20, 100, 80], 81 * 61),
        # The image takes the middle half of the height.
        ("resize_mode: FIT_LARGE_SIZE_AND_PAD height: 300 width: 300", (100, 200), [20, 0, 100, 100], 81 * 101),
        # And here the middle half of the width.
        ("resize_mode: FIT_LARGE_SIZE_AND_PAD height: 300 width: 300", (200, 100), [0, 40, 50, 160], 51 * 121),
        ("resize_mode: FIT_SMALL_SIZE height: 30 width: 30", (100, 200), [20, 20, 100, 80], 81 * 61),
        (
            "resize_mode: FIT_SMALL_SIZE height: 30 width: 30 height_scale: 50 width_scale: 60",
            (100, 20),
            [6, 10, 20, 40],
            14 * 30,
        ),
    ],
)
def test_in_pixels(text, image, pixels, area):
    boxes, areas = in_pixels(np.array([[0.1, 0.2, 0.5, 0.8]]), image, None if text is None else resize(text))
    assert np.allclose(boxes, [pixels], atol=1e-4)
    assert np.allclose(areas, [area], atol=0.01)
