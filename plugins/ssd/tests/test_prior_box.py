"""PriorBox: against loops that read like the definition, options, checks."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_ssd.cases import prior_box


def expected(cells, image, sizes, *, most=(), ratios=(), flip=True, step=None, offset=0.5, clip=False):
    """Boxes, one after the other."""
    every = [1.0]
    for ratio in ratios:
        if not any(abs(ratio - other) < 1e-6 for other in every):
            every += [ratio, 1 / ratio] if flip else [ratio]
    down, across = step or (image[0] / cells[0], image[1] / cells[1])
    boxes = []
    for row, column in np.ndindex(*cells):
        x, y = (column + offset) * across, (row + offset) * down
        for index, size in enumerate(sizes):
            extents = [(size, size)]
            if most:
                extents.append((sqrt(size * most[index]),) * 2)
            extents += [(size * sqrt(ratio), size / sqrt(ratio)) for ratio in every[1:]]
            for width, height in extents:
                boxes.append(
                    [
                        (x - width / 2) / image[1],
                        (y - height / 2) / image[0],
                        (x + width / 2) / image[1],
                        (y + height / 2) / image[0],
                    ]
                )
    return np.clip(boxes, 0, 1) if clip else np.array(boxes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("min_size: 30", {"sizes": [30]}),
        ("min_size: 30 max_size: 60 aspect_ratio: 2", {"sizes": [30], "most": [60], "ratios": [2]}),
        ("min_size: 30 aspect_ratio: 2 flip: false", {"sizes": [30], "ratios": [2], "flip": False}),
        ("min_size: 30 aspect_ratio: 1 aspect_ratio: 2 aspect_ratio: 2", {"sizes": [30], "ratios": [1, 2, 2]}),
        ("min_size: 30 aspect_ratio: 2 aspect_ratio: 0.5", {"sizes": [30], "ratios": [2, 0.5]}),
        (
            "min_size: 20 min_size: 40 max_size: 50 max_size: 80 aspect_ratio: 3",
            {"sizes": [20, 40], "most": [50, 80], "ratios": [3]},
        ),
        ("min_size: 90 clip: true", {"sizes": [90], "clip": True}),
        ("min_size: 30 step: 16 offset: 0.2", {"sizes": [30], "step": (16, 16), "offset": 0.2}),
        ("min_size: 30 step_h: 8 step_w: 12", {"sizes": [30], "step": (8, 12)}),
        ("min_size: 30 img_size: 64", {"sizes": [30], "image": (64, 64)}),
        ("min_size: 30 img_h: 50 img_w: 70", {"sizes": [30], "image": (50, 70)}),
        ("min_size: 30.7 max_size: 60.9", {"sizes": [30], "most": [60]}),  # Cut to whole pixels, as SSD's Caffe does.
    ],
)
def test_boxes(run_layer, options, arguments, dtype):
    run = run_layer(prior_box(options), [np.zeros((1, 4, 3, 5)), np.zeros((1, 3, 90, 150))], dtype=dtype)
    run.forward()
    boxes = expected((3, 5), **{"image": (90, 150), **arguments})
    assert run.top[0].shape == (1, 2, boxes.size)
    assert np.allclose(run.top[0].data[0, 0].reshape(-1, 4), boxes, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "expected_variance"), [([], [0.1] * 4), ([0.3], [0.3] * 4), ([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4])]
)
def test_variances(run_layer, given, expected_variance):
    options = " ".join(["min_size: 3", *(f"variance: {value}" for value in given)])
    run = run_layer(prior_box(options), [np.zeros((1, 1, 2, 2)), np.zeros((1, 3, 9, 9))])
    run.forward()
    assert np.allclose(run.top[0].data[0, 1].reshape(-1, 4), expected_variance)


def test_another_image(run_layer):
    run = run_layer(prior_box("min_size: 30"), [np.zeros((1, 1, 2, 2)), np.zeros((1, 3, 90, 150))])
    run.forward()
    run.bottom[1].reshape(1, 3, 60, 60)
    run.forward()
    assert np.allclose(run.top[0].data[0, 0].reshape(-1, 4), expected((2, 2), (60, 60), [30]), atol=1e-6)


def test_the_bottoms_have_gradient_zero(run_layer):
    run = run_layer(prior_box("min_size: 30"), [np.zeros((1, 1, 2, 2)), np.zeros((1, 3, 9, 9))])
    run.forward()
    run.bottom[0].diff.fill(3)
    run.backward([True, False])
    assert not run.bottom[0].diff.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "must provide min_size"),
        ("min_size: 0", "min_size must be positive, not 0"),
        ("min_size: 30 max_size: 20", "max_size must be greater than min_size: 20 against 30"),
        ("min_size: 30 min_size: 40 max_size: 50", "1 max_size for 2 min_size"),
        ("min_size: 30 variance: 0.1 variance: 0.2", "Must and only provide 4 variance, or 1 for all; there are 2"),
        ("min_size: 30 variance: -1", "variance must be positive"),
        ("min_size: 30 aspect_ratio: 0", "aspect_ratio must be positive"),
        ("min_size: nan", "min_size must be a finite number, not nan"),
        ("min_size: 30 max_size: inf", "max_size must be a finite number, not inf"),
        ("min_size: 30 aspect_ratio: inf", "aspect_ratio must be a finite number, not inf"),
        ("min_size: 30 img_size: 3 img_h: 3 img_w: 3", "Either img_size or img_h/img_w should be specified; not both"),
        ("min_size: 30 img_h: 3", "img_w should be larger than 0"),
        ("min_size: 30 img_size: 0", "img_size should be larger than 0"),
        ("min_size: 30 step: 3 step_h: 3 step_w: 3", "Either step or step_h/step_w should be specified; not both"),
        ("min_size: 30 step_w: 3", "step_h should be larger than 0"),
        ("min_size: 30 step: -1", "step should be larger than 0"),
    ],
)
def test_wrong_options(run_layer, options, message):
    with pytest.raises(LayerError, match=message):
        run_layer(prior_box(options), [np.zeros((1, 1, 2, 2)), np.zeros((1, 3, 9, 9))])


@pytest.mark.parametrize("shapes", [((1, 2), (1, 3, 9, 9)), ((1, 1, 2, 2), (1, 3)), ((1, 1, 0, 2), (1, 3, 9, 9))])
def test_wrong_shapes(run_layer, shapes):
    with pytest.raises(ShapeError):
        run_layer(prior_box("min_size: 3"), [np.zeros(shape) for shape in shapes])


@pytest.mark.parametrize("step", [None, (12.0, 20.0)])
def test_clustered_sizes_need_not_be_whole(step: tuple[float, float] | None, device: str) -> None:
    pairs = [(12.5, 31.0), (40.0, 8.25)]
    options = f"step_h: {step[0]} step_w: {step[1]}" if step else ""
    text = f'type: "PriorBoxClustered" prior_box_param {{ width: [12.5, 40] height: [31, 8.25] {options} }}'
    run = run_layer(text, [np.zeros((1, 2, 3, 4)), np.zeros((1, 3, 60, 100))], dtype=np.float64, device=device)
    run.forward()
    down, across = step or (20.0, 25.0)
    boxes = [
        [((j + 0.5) * across - w / 2) / 100, ((i + 0.5) * down - h / 2) / 60,
         ((j + 0.5) * across + w / 2) / 100, ((i + 0.5) * down + h / 2) / 60]
        for i, j in np.ndindex(3, 4) for w, h in pairs
    ]  # fmt: skip
    y = np.asarray(run.top[0].data)
    assert y.shape == (1, 2, 3 * 4 * 2 * 4)
    assert np.allclose(y[0, 0].reshape(-1, 4), boxes, rtol=1e-6) and np.allclose(y[0, 1], 0.1)


@pytest.mark.parametrize(("text", "words"), [
    ('type: "PriorBoxClustered"', "0 width and 0 height"),
    ('type: "PriorBoxClustered" prior_box_param { width: [1, 2] height: 3 }', "2 width and 1 height"),
    ('type: "PriorBoxClustered" prior_box_param { width: 1 height: 0 }', "must be positive"),
    ('type: "PriorBoxClustered" prior_box_param { width: 1 height: 1 min_size: 3 }', "min_size is PriorBox"),
    ('type: "PriorBox" prior_box_param { width: 1 height: 1 min_size: 3 }', "PriorBoxClustered"),
])  # fmt: skip
def test_each_kind_of_sizes_has_its_layer(text: str, words: str) -> None:
    with pytest.raises(LayerError, match=words):
        run_layer(text, [np.zeros((1, 2, 3, 4)), np.zeros((1, 3, 60, 100))])
