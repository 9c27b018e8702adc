"""DetectionOutput: against loops, options, result files, checks."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from bicerin.errors import DataError, LayerError, ShapeError
from bicerin_ssd.box_code import decode
from bicerin_ssd.cases import detection_output, first_stage
from bicerin_ssd.cases import prediction_inputs as inputs


def overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared)


def expected(arrays, classes, loc_classes, *, code, encoded, background, least, threshold, eta, top_k, keep):
    locations, scores, prior = arrays
    boxes, variances = prior.reshape(2, -1, 4)
    locations = locations.reshape(len(locations), -1, loc_classes, 4)
    scores = scores.reshape(len(scores), -1, classes)
    decoded = decode(code, boxes, None if encoded else variances, locations)
    rows = []
    for image in range(len(scores)):
        found = []
        for label in range(classes):
            if label == background:
                continue
            candidates = [p for p in range(len(boxes)) if scores[image, p, label] > least]
            candidates.sort(key=lambda p: -scores[image, p, label])
            kept, adaptive = [], threshold
            for p in candidates if top_k < 0 else candidates[:top_k]:
                box = decoded[image, p, label if loc_classes > 1 else 0]
                if all(overlap(box, other) <= adaptive for other in kept):
                    kept.append(box)
                    found.append((image, label, scores[image, p, label], *box))
                    if eta < 1 and adaptive > 0.5:
                        adaptive *= eta
        if keep >= 0:
            found = sorted(sorted(found, key=lambda row: -row[2])[:keep], key=lambda row: row[1])
        rows += found
    return np.array(rows).reshape(-1, 7)


DEFAULTS = {"code": "CORNER", "encoded": False, "background": 0, "least": -1.0, "threshold": 0.3, "eta": 1.0}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loc_classes", [1, 3])
@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("", {}),
        ("code_type: CENTER_SIZE", {"code": "CENTER_SIZE"}),
        ("code_type: CORNER_SIZE", {"code": "CORNER_SIZE"}),
        ("variance_encoded_in_target: true", {"encoded": True}),
        ("code_type: CENTER_SIZE variance_encoded_in_target: true", {"code": "CENTER_SIZE", "encoded": True}),
        ("background_label_id: 2", {"background": 2}),
        ("background_label_id: -1", {"background": -1}),
        ("confidence_threshold: 0.6", {"least": 0.6}),
        ("nms_param { nms_threshold: 0.6 }", {"threshold": 0.6}),
        ("nms_param { nms_threshold: 0.8 eta: 0.7 }", {"threshold": 0.8, "eta": 0.7}),
        ("nms_param { nms_threshold: 0 }", {"threshold": 0}),
        ("nms_param { top_k: 4 }", {"top_k": 4}),
        ("keep_top_k: 3", {"keep": 3}),
        ("keep_top_k: 100", {"keep": 100}),
        ("nms_param { nms_threshold: 0.5 top_k: 6 } keep_top_k: 5", {"threshold": 0.5, "top_k": 6, "keep": 5}),
    ],
)
def test_detections(run_layer, options, arguments, loc_classes, dtype):
    arrays = inputs(loc_classes=loc_classes)
    share = str(loc_classes == 1).lower()
    run = run_layer(detection_output(f"num_classes: 3 share_location: {share} {options}"), arrays, dtype=dtype)
    run.forward()
    rows = expected(arrays, 3, loc_classes, **{**DEFAULTS, "top_k": -1, "keep": -1, **arguments})
    assert run.top[0].shape == (1, 1, len(rows), 7)
    assert np.allclose(run.top[0].data[0, 0], rows, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loc_classes", [1, 3])
@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("nms_param { nms_threshold: 0.9 }", {"threshold": 0.9}),
        ("nms_param { nms_threshold: 0.9 eta: 0.99 } keep_top_k: 290", {"threshold": 0.9, "eta": 0.99, "keep": 290}),
        ("nms_param { top_k: 270 } keep_top_k: 11", {"top_k": 270, "keep": 11}),
    ],
)
def test_more_boxes_than_a_block_has_threads(run_layer, options, arguments, loc_classes):
    """With equal scores."""
    arrays = inputs(loc_classes=loc_classes, alike=True, number=300)
    share = str(loc_classes == 1).lower()
    run = run_layer(detection_output(f"num_classes: 3 share_location: {share} {options}"), arrays, dtype=np.float64)
    run.forward()
    rows = expected(arrays, 3, loc_classes, **{**DEFAULTS, "top_k": -1, "keep": -1, **arguments})
    assert run.top[0].shape == (1, 1, len(rows), 7)
    assert np.allclose(run.top[0].data[0, 0], rows, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("keep", [0, 3])
def test_keeping_none_of_them(run_layer, keep):
    run = run_layer(detection_output(f"num_classes: 3 keep_top_k: {keep} nms_param {{ top_k: {keep} }}"), inputs())
    run.forward()
    assert (run.top[0].data[0, 0, :, 1] == -1).all() == (keep == 0)


def test_a_prior_without_extent(run_layer):
    arrays = inputs()
    arrays[2][0, 0, 20:24] = 0.5
    run = run_layer(detection_output("num_classes: 3 code_type: CENTER_SIZE"), arrays)
    with pytest.raises(LayerError, match=r"prior box 5 has no width or no height: 0.5, 0.5, 0.5, 0.5"):
        run.forward()


@pytest.mark.parametrize("images", [1, 3])
def test_nothing_found(run_layer, images):
    run = run_layer(detection_output("num_classes: 3 confidence_threshold: 2"), inputs(images))
    run.forward()
    assert run.top[0].data.tolist() == [[[[image, *[-1] * 6] for image in range(images)]]]


def test_visualize_is_a_warning(run_layer, caplog):
    with caplog.at_level(logging.WARNING, "bicerin.ssd"):
        run = run_layer(detection_output("num_classes: 3 visualize: true"), [*inputs(), np.zeros((2, 3, 4, 4))])
    assert "visualize is not supported" in caplog.text
    run.forward()
    assert run.top[0].shape[2] > 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "Must specify num_classes"),
        ("num_classes: 3 nms_param { nms_threshold: -0.1 }", "nms_threshold must be non negative, not -0.1"),
        ("num_classes: 3 nms_param { eta: 0 }", "eta is greater than 0 and at most 1, not 0"),
        ("num_classes: 3 nms_param { eta: 1.5 }", "eta is greater than 0 and at most 1, not 1.5"),
    ],
)
def test_wrong_options(run_layer, options, message):
    with pytest.raises(LayerError, match=message):
        run_layer(detection_output(options), inputs())


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (0, (2, 44), "Number of priors must match number of location predictions: 12 priors .* 48 against 44"),
        (1, (2, 30), "Number of priors must match number of confidence predictions: .* 36 against 30"),
        (1, (3, 36), "locations are of 2 images"),
        (2, (1, 48), "have the shape"),
        (2, (1, 2, 46), "have the shape"),
    ],
)
def test_wrong_shapes(run_layer, index, shape, message):
    arrays = inputs()
    arrays[index] = np.zeros(shape)
    with pytest.raises(ShapeError, match=message):
        run_layer(detection_output("num_classes: 3"), arrays)


# Result files


@pytest.fixture
def save(tmp_path):
    """The text of `save_output_param`, with its files."""
    (tmp_path / "labels.prototxt").write_text(
        'item { name: "none" label: 0 } item { name: "17" label: 1 display_name: "cat" } item { name: "dog" label: 2 }'
    )
    (tmp_path / "sizes.txt").write_text("139 100 200\nbeach 50 40\n\nlast 10 10\n")

    def text(form, **more):
        fields = {
            "output_directory": f'"{tmp_path}/out/here"',
            "output_name_prefix": '"det_"',
            "output_format": f'"{form}"',
            "label_map_file": f'"{tmp_path}/labels.prototxt"',
            "name_size_file": f'"{tmp_path}/sizes.txt"',
            **more,
        }
        inner = " ".join(f"{name}: {value}" for name, value in fields.items() if value is not None)
        return f"num_classes: 3 confidence_threshold: 0.5 save_output_param {{ {inner} }}"

    return text


def certain(rows):
    """Bottoms for which each image has one detection: rows of label and box."""
    locations = np.zeros((len(rows), 8))
    scores = np.zeros((len(rows), 2, 3))
    for image, (label, box) in enumerate(rows):
        locations[image, :4] = box
        scores[image, 0, label] = 0.75
    prior = np.zeros((1, 2, 8))
    prior[0, 1] = 1
    return [locations, scores.reshape(len(rows), 6), prior]


ROWS = [(1, (0.1, 0.2, 0.5, 0.8)), (2, (-0.5, 0.1, 0.55, 2)), (1, (0, 0, 1, 1))]


def saved(run_layer, save, tmp_path, form, **more):
    run = run_layer(detection_output(save(form, **more)), certain(ROWS))
    run.forward()
    return {path.name: path.read_text() for path in (tmp_path / "out/here").iterdir()}


def test_voc(run_layer, save, tmp_path):
    assert saved(run_layer, save, tmp_path, "VOC") == {
        "det_17.txt": "139 0.75 20 20 100 80\nlast 0.75 0 0 10 10\n",
        "det_dog.txt": "beach 0.75 0 5 22 50\n",
    }


def test_ilsvrc(run_layer, save, tmp_path):
    assert saved(run_layer, save, tmp_path, "ILSVRC") == {
        "det_.txt": "139 1 0.75 20 20 100 80\nbeach 2 0.75 0 5 22 50\nlast 1 0.75 0 0 10 10\n"
    }


def test_coco(run_layer, save, tmp_path):
    (text,) = saved(run_layer, save, tmp_path, "COCO").values()
    assert json.loads(text) == [
        {"image_id": 139, "category_id": 17, "bbox": [20, 20, 80, 60], "score": 0.75},
        {"image_id": "beach", "category_id": "dog", "bbox": [0, 5, 22, 45], "score": 0.75},
        {"image_id": "last", "category_id": 17, "bbox": [0, 0, 10, 10], "score": 0.75},
    ]


def test_files_are_written_when_all_images_were_tested(run_layer, save, tmp_path):
    run = run_layer(detection_output(save("ILSVRC", num_test_image="2")), certain(ROWS[:1]))
    folder = tmp_path / "out/here"
    run.forward()
    assert not list(folder.iterdir())
    run.forward()
    first = (folder / "det_.txt").read_text()
    assert first.splitlines() == ["139 1 0.75 20 20 100 80", "beach 1 0.75 4 10 20 40"]
    for _ in range(2):
        run.forward()
    assert (folder / "det_.txt").read_text() == first


@pytest.mark.parametrize("missing", ["label_map_file", "name_size_file", "output_format"])
def test_without_all_of_them_nothing_is_saved(run_layer, missing, save, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "bicerin.ssd"):
        run_layer(detection_output(save("VOC", **{missing: None})), certain(ROWS)).forward()
    assert f"provide {missing} to output results to files" in caplog.text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "more", "error", "message"),
    [
        ("KITTI", {}, LayerError, 'the output_format "KITTI" is unknown'),
        ("VOC", {"num_test_image": "4"}, LayerError, "num_test_image is 4, and .* names 3"),
        ("VOC", {"label_map_file": '"/none"'}, DataError, "Failed to read label map file: /none"),
        ("VOC", {"name_size_file": '"/none"'}, DataError, "Failed to open name size file: /none"),
    ],
)
def test_what_is_wrong_with_them(run_layer, form, more, error, message, save):
    with pytest.raises(error, match=message):
        run_layer(detection_output(save(form, **more)), certain(ROWS))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.prototxt", "item { label: 1 } item { label: 1 }", "duplicates of the label 1"),
        ("labels.prototxt", "item { lable: 1 }", "lable"),
        ("sizes.txt", "one 2", 'sizes.txt:1: "one 2" is not "name height width"'),
    ],
)
def test_broken_files(run_layer, name, text, message, save, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        run_layer(detection_output(save("VOC")), certain(ROWS))


def test_a_label_without_a_name(run_layer, save, tmp_path):
    (tmp_path / "labels.prototxt").write_text('item { name: "none" label: 0 }')
    with pytest.raises(DataError, match="Cannot find label: 1 in the label map"):
        run_layer(detection_output(save("COCO")), certain(ROWS)).forward()


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("code", ["CENTER_SIZE", "CORNER_SIZE"])
def test_two_stages_are_two_layers(code, stages, run_layer):
    """RefineDet: the first stage's boxes as prior boxes, and its doubts as scores, give the same."""
    locations, scores, prior = inputs(images=1)
    something, moves = first_stage(images=1)
    boxes, variances = prior.reshape(2, -1, 4)
    priors = decode(code, boxes, variances, moves.reshape(1, -1, 1, 4))[0, :, 0] if stages == 2 else boxes
    doubtful = something.reshape(-1, 2)[:, 1] < 0.5
    assert doubtful.any()
    certain = scores.reshape(-1, 3).copy()
    certain[doubtful] = (1, 0, 0)
    options = f"num_classes: 3 confidence_threshold: 0.1 code_type: {code} nms_param {{ nms_threshold: 0.4 }}"
    one = run_layer(
        detection_output(f"{options} objectness_score: 0.5"), [locations, scores, prior, *[something, moves][:stages]]
    )
    other = run_layer(
        detection_output(options), [locations, certain.reshape(1, -1), np.stack((priors, variances)).reshape(1, 2, -1)]
    )
    for run in (one, other):
        run.forward()
    assert one.top[0].shape[2] > 1
    np.testing.assert_allclose(one.top[0].data, other.top[0].data, rtol=1e-5, atol=1e-6)


def test_a_first_stage_of_another_size_is_refused(run_layer):
    arrays = [*inputs(), np.zeros((2, 3))]
    with pytest.raises(ShapeError, match="the first stage's scores must have the shape"):
        run_layer(detection_output("num_classes: 3 objectness_score: 0.5"), arrays)
