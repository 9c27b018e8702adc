"""DetectNetTransformation: the grid and each change, worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import bicerin_proto
from bicerin.errors import DataError, LayerError, ShapeError
from bicerin.testing import LayerRun, run_layer
from bicerin_rcnn import detectnet_augmentation as augmentation
from bicerin_rcnn.detectnet_augmentation import Choice

STILL = Choice(0.0, 1.0, False, (8, 16), 0.0, (0, 0))


def changes(options: str = "", **chances: float) -> str:
    """What is done at TRAIN: nothing but what is named, with its probability."""
    names = ("crop", "scale", "flip", "rotation", "hue_rotation", "desaturation")
    given = " ".join(f"{name}_prob: {chances.get(name, 0)}" for name in names)
    return f"detectnet_augmentation_param {{ {given} {options} }}"


def labels(*images: list[list[float]]) -> np.ndarray:
    """Of each image the boxes x1, y1, width, height, class."""
    made = np.full((len(images), 1, 1 + max(map(len, images)), 16), -1.0)
    for label, boxes in zip(made[:, 0], images, strict=True):
        label[0, :2] = len(boxes), 16
        for row, box in enumerate(boxes, 1):
            label[row, :4], label[row, 5] = box[:4], box[4]
    return made


def transform(
    truth: str,
    boxes: list[list[float]],
    image: np.ndarray | None = None,
    *,
    rest: str = "",
    phase: str = "TEST",
    seed: int = 0,
) -> LayerRun:
    """The layer after it has run on one image, for grids of 2 rows and 4 columns of 4 pixels."""
    truth = truth if "stride" in truth else f"stride: 4 {truth}"
    text = 'type: "DetectNetTransformation" detectnet_groundtruth_param { image_size_x: 16 image_size_y: 8 '
    image = np.zeros((3, 8, 16)) if image is None else image
    run = run_layer(f"{text} {truth} }} {rest}", [image[None], labels(boxes)], phase=phase, dtype=np.float64, seed=seed)
    run.forward()
    return run


@pytest.mark.parametrize(
    ("options", "box", "cells", "weight"),
    [
        # The middle is (6, 4), the coverage 4 x 3 pixels.
        ("", [2, 1, 8, 6], [(0, 1), (1, 1)], 16 / 12),
        ("scale_cvg: 0.75", [2, 1, 8, 6], [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)], 1),
        ("scale_cvg: 0.75 obj_norm: true", [2, 1, 8, 6], [(y, x) for y in (0, 1) for x in (0, 1, 2)], 16 / 27),
        ("max_cvg_len: 2", [2, 1, 8, 6], [(0, 1), (1, 1)], 16 / 4),
        # 8 x 6: no more than the object.
        ("gridbox_type: GRIDBOX_MIN min_cvg_len: 9 obj_norm: true", [2, 1, 8, 6],
         [(y, x) for y in (0, 1) for x in (0, 1, 2)], 16 / 48),
        ("gridbox_type: GRIDBOX_MIN min_cvg_len: 2", [2, 1, 8, 6], [(0, 1), (1, 1)], 16 / 12),
        # What is left of it in the image is 4 x 4 pixels; else the middle is (0, 1).
        ("", [-4, -2, 8, 6], [(0, 0)], 16 / 4),
        ("crop_bboxes: false", [-4, -2, 8, 6], [(0, 0)], 16 / 12),
        # Its coverage ends where the next cell begins.
        ("scale_cvg: 1", [4, 0, 4, 4], [(0, 1)], 1),
        ("", [17, 1, 5, 5], [], 0),
        ("crop_bboxes: false", [17, 1, 5, 5], [], 0),
        ("", [3, 3, 0, 4], [], 0),
        ("scale_cvg: 0", [2, 1, 8, 6], [], 0),
    ],
)  # fmt: skip
def test_an_object_in_its_cells(options: str, box: list[float], cells: list[tuple[int, int]], weight: float) -> None:
    top = transform(options, [[*box, 1]]).top[1]
    expected = np.zeros((1, 9, 2, 4))
    x1, y1, x2, y2 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    if "crop_bboxes" not in options:
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, 16), min(y2, 8)
    for row, column in cells:
        corners = x1 - 4 * column, y1 - 4 * row, x2 - 4 * column, y2 - 4 * row
        expected[0, :, row, column] = 1, *corners, 1 / (x2 - x1), 1 / (y2 - y1), weight, 1
    np.testing.assert_allclose(top.data, expected, rtol=1e-12)


def test_classes_and_who_comes_last() -> None:
    """Three classes, of which one has no number; the second object takes the cell (0, 1) from the first."""
    numbers = "object_class { src: 1 dst: 0 } object_class { src: 8 dst: 2 }"
    boxes = [[2, 1, 8, 6, 1], [5, 0, 2, 2, 8], [12, 4, 4, 4, 3]]
    top = transform(numbers, boxes).top[1]
    assert top.shape == (1, 11, 2, 4)
    assert top.data[0, 8:, 0, 1].tolist() == [0, 0, 1]
    assert top.data[0, 8:, 1, 1].tolist() == [1, 0, 0]
    assert top.data[0, :8, 0, 1].tolist() == [1, 1, 0, 3, 2, 1 / 2, 1 / 2, 16]
    assert top.data[0, 0].sum() == 2


def test_a_grid_is_rounded() -> None:
    """6.25 rows and 6.5 columns; a half goes to the even number, as in OpenCV."""
    text = 'type: "DetectNetTransformation" detectnet_groundtruth_param { image_size_x: 26 image_size_y: 25 stride: 4 }'
    run = run_layer(text, [np.zeros((1, 3, 5, 5)), labels([])])
    assert [top.shape for top in run.top] == [(1, 3, 25, 26), (1, 9, 6, 6)]


def test_a_test_resizes_and_subtracts_the_mean() -> None:
    """Twice as wide, by cubic convolution with a = -3/4."""
    image = np.zeros((3, 8, 8))
    image[1, 3, 4] = 64
    means = "transform_param { mean_value: 1 mean_value: 2 mean_value: 3 }"
    run = transform("", [[1, 1, 4, 6, 1]], image, rest=means)
    expected = np.zeros((3, 8, 16))
    # 64 times the weights at 1.75, 1.25, 0.75 and 0.25 pixels
    expected[1, 3, 5:13] = -2.25, -6.75, 16.75, 56.25, 56.25, 16.75, -6.75, -2.25
    np.testing.assert_allclose(run.top[0].data[0], expected - np.array([1, 2, 3])[:, None, None], atol=1e-12)
    assert run.top[1].data[0, 1:5, 0, 1].tolist() == [-2, 1, 6, 7]


def test_a_mean_image_is_resized_to_the_images(tmp_path: Path) -> None:
    mean = np.full((1, 3, 2, 2), 5.0, np.float32)
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(bicerin_proto.array_blob(mean).SerializeToString())
    run = transform("", [], np.full((3, 8, 16), 7.0), rest=f'transform_param {{ mean_file: "{path}" }}')
    np.testing.assert_allclose(run.top[0].data, 2)


def test_a_mirrored_image() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (3, 8, 16))
    run = transform("scale_cvg: 1", [[2, 1, 4, 3, 1]], image, rest=changes(flip=1), phase="TRAIN")
    np.testing.assert_array_equal(run.top[0].data[0], image[:, :, ::-1])
    # 16 - 2 - 4 - 1 = 9, in the cell that begins at 8.
    assert run.top[1].data[0, 1:5, 0, 2].tolist() == [1, 1, 5, 4]


def test_what_is_cut_out_without_a_crop_is_the_middle() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (3, 11, 20))
    rest = f"{changes()} transform_param {{ mean_value: 9 }}"
    run = transform("scale_cvg: 1", [[4, 3, 4, 4, 1]], image, rest=rest, phase="TRAIN")
    # 1.5 rows are rounded away from 0.
    np.testing.assert_allclose(run.top[0].data[0], image[:, 2:10, 2:18] - 9)
    assert run.top[1].data[0, 1:5, 0, 0].tolist() == [2, 1, 6, 5]


def test_a_small_image_lies_in_the_middle_of_zeros() -> None:
    rest = changes("scale_min: 0.5 scale_max: 0.5", scale=1)
    run = transform("", [[0, 0, 16, 8, 1]], np.full((3, 8, 16), 50.0), rest=rest, phase="TRAIN")
    expected = np.zeros((3, 8, 16))
    expected[:, 2:6, 4:12] = 50
    np.testing.assert_allclose(run.top[0].data[0], expected)
    assert run.top[1].data[0, 1:5, 0, 1].tolist() == [0, 2, 8, 6]


def test_crops_at_random() -> None:
    """Each begins within the image, or half of the shift beyond it; the box goes along; every place is met."""
    image = np.arange(1, 11 * 19 + 1, dtype=float).reshape(1, 11, 19) * np.ones((3, 1, 1))
    rest = changes("shift_x: 4 shift_y: 2", crop=1)
    run = transform("scale_cvg: 1 crop_bboxes: false", [[6, 4, 8, 4, 1]], image, rest=rest, phase="TRAIN")
    met = set()
    for _ in range(200):
        run.forward()
        found = run.top[0].data[0, 0]
        row, column = np.argwhere(found > 0)[0]
        down, across = (int(found[row, column]) - 1) // 19 - row, (int(found[row, column]) - 1) % 19 - column
        padded = np.zeros((40, 40))
        padded[10:21, 10:29] = image[0]
        np.testing.assert_array_equal(found, padded[10 + down : 18 + down, 10 + across : 26 + across])
        cell_row, cell_column = np.argwhere(run.top[1].data[0, 0] > 0)[0]
        corner = run.top[1].data[0, 1:3, cell_row, cell_column] + [4 * cell_column, 4 * cell_row]
        assert corner.tolist() == [6 - across, 4 - down]
        met.add((int(down), int(across)))
    assert [set(along) for along in zip(*met, strict=True)] == [set(range(-1, 5)), set(range(-2, 6))]


def test_the_generator_is_the_layers_own() -> None:
    """A snapshot holds where it is, and as much is drawn for an image whatever is done with it."""
    image = np.random.default_rng(0).uniform(0, 255, (3, 11, 20))

    def run(image: np.ndarray, rest: str, seed: int) -> LayerRun:
        return transform("", [[2, 1, 8, 6, 1]], image, rest=rest, phase="TRAIN", seed=seed)

    default = "detectnet_augmentation_param { }"
    first, same, other = run(image, default, 1), run(image, default, 1), run(image, default, 2)
    np.testing.assert_array_equal(first.top[0].data, same.top[0].data)
    assert not np.array_equal(first.top[0].data, other.top[0].data)
    state = first.layer.state()
    assert state is not None
    other.layer.restore_state(state)
    first.forward()
    other.forward()
    for one, two in zip(first.top, other.top, strict=True):
        np.testing.assert_array_equal(one.data, two.data)
    mirrored, still = run(image, changes(crop=1, flip=1), 3), run(image[:, :, ::-1], changes(crop=1), 3)
    np.testing.assert_array_equal(mirrored.top[0].data, still.top[0].data)


@pytest.mark.parametrize(
    ("colour", "hue", "saturation", "expected"),
    [
        ((255, 0, 0), 120, 1, (0, 0, 255)),  # blue, a third of the circle on, is red
        ((50, 100, 200), 40, 1, (50, 200, 200)),  # from 20 to 60 degrees, yellow
        ((50, 100, 200), -80, 1, (200, 50, 200)),  # to -60, magenta
        ((50, 100, 200), 0, 0.5, (125, 150, 200)),
        ((90, 90, 90), 33, 0.2, (90, 90, 90)),
        ((0, 0, 0), 33, 0.2, (0, 0, 0)),
    ],
)
def test_colours(colour: tuple[int, ...], hue: float, saturation: float, expected: tuple[int, ...]) -> None:
    image = np.array(colour, float)[:, None, None] * np.ones((1, 2, 2))
    found = augmentation.recoloured(image, hue, saturation)
    np.testing.assert_allclose(found, np.array(expected)[:, None, None] * np.ones((1, 2, 2)), atol=1e-9)


def test_colours_are_changed_before_the_mean_is_subtracted() -> None:
    rest = changes("desaturation_max: 1", desaturation=1)
    image = np.array([50.0, 100, 200])[:, None, None] * np.ones((1, 8, 16))
    run = transform("", [], image, rest=f"{rest} transform_param {{ mean_value: 80 }}", phase="TRAIN")
    blue, green, red = run.top[0].data[0, :, 0, 0]
    assert red == 120
    kept = (120 - blue) / 150
    assert 0 < kept < 1
    assert (120 - green) / 100 == pytest.approx(kept)


def test_a_turned_image_and_its_boxes() -> None:
    """Clockwise by 30 degrees: an even slope stays one, its direction turned; what is not of the image is 0."""
    choice = STILL._replace(size=(20, 30), degrees=30.0)
    rows, columns = np.mgrid[:20, :30]
    found = augmentation.turned((100.0 + 2 * columns + 3 * rows)[None], choice)[0]
    sine, cosine = 0.5, math.sqrt(3) / 2
    # It reaches 18.0 pixels to either side of column 15 and 16.2 of row 10: from -3 to 33, from -7 to 27.
    reach_x, reach_y = (30 * cosine + 20 * sine) / 2, (30 * sine + 20 * cosine) / 2
    assert found.shape == (35, 37)
    middle = 15 - math.floor(15 - reach_x), 10 - math.floor(10 - reach_y)
    expected = np.zeros((35, 37))
    for y, x in np.ndindex(35, 37):
        right, down = x - middle[0], y - middle[1]
        column, row = 15 + cosine * right + sine * down, 10 - sine * right + cosine * down
        if 0 <= column <= 29 and 0 <= row <= 19:
            expected[y, x] = 100 + 2 * column + 3 * row
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    boxes = augmentation.changed_boxes(np.array([[13.0, 7, 4, 6], [23, 7, 4, 6]]), choice, (20, 30))
    # The first has the image's middle, the second one 10 pixels to the right of it.
    assert boxes[0].tolist() == pytest.approx([middle[0] - 2, middle[1] - 3, 4, 6])
    assert (boxes[1] - boxes[0]).tolist() == pytest.approx([10 * cosine, 10 * sine, 0, 0])


@pytest.mark.parametrize(
    ("truth", "rest", "words"),
    [
        ("stride: 0", "", "stride must be greater than 0"),
        ("stride: 40", "", "an image of 8 x 16 has no cell of stride 40"),
        ("scale_cvg: -1", "", "scale_cvg must not be negative: -1"),
        ("", "detectnet_augmentation_param { flip_prob: 1.5 }", "flip_prob must be from 0 to 1, not 1.5"),
        ("", "detectnet_augmentation_param { scale_min: 2 }", "the first at most the second: 2, 1"),
        ("", "detectnet_augmentation_param { desaturation_max: 2 }", "desaturation_max must be from 0 to 1, not 2"),
        ("", "transform_param { scale: 0.1 mirror: true }", "scale, mirror has no meaning here"),
        ("", "transform_param { mean_value: 1 mean_value: 2 }", "one mean_value or three, not 2"),
        ("", 'transform_param { mean_value: 1 mean_file: "a" }', "mean_file and mean_value cannot both be given"),
    ],
)
def test_options_that_make_no_sense(truth: str, rest: str, words: str) -> None:
    with pytest.raises(LayerError, match=words):
        transform(truth, [], rest=rest)


def test_bottoms_that_do_not_fit() -> None:
    text = 'type: "DetectNetTransformation"'
    for shapes, words in [
        ([(2, 1, 8, 8), (2, 1, 3, 16)], r"images must have the shape \(N, 3, H, W\)"),
        ([(2, 3, 8, 8), (3, 1, 3, 16)], r"labels must have the shape \(2, ..., 16\), not \(3, 1, 3, 16\)"),
        ([(2, 3, 8, 8), (2, 1, 3, 15)], "labels must have the shape"),
    ]:
        with pytest.raises(ShapeError, match=words):
            run_layer(text, [np.zeros(shape) for shape in shapes])
    for header, words in [((3, 16), "label 0 begins with 3 boxes of 16 numbers; there is room for 2"),
                          ((1, 5), "1 boxes of 5 numbers")]:  # fmt: skip
        given = np.zeros((1, 1, 3, 16))
        given[0, 0, 0, :2] = header
        run = run_layer(text, [np.zeros((1, 3, 8, 8)), given])
        with pytest.raises(DataError, match=words):
            run.forward()
