"""AnnotatedData: records with boxes, what each transformation does to both, exact resuming."""

from __future__ import annotations

import json

import numpy as np
import pytest

import bicerin_proto
from bicerin.errors import BicerinError, DataError, LayerError
from bicerin.layer import Blob, Context, Phase
from bicerin.layer.layer import layers
from bicerin.net.node import Node
from bicerin.schema.installed_schema import read_layer, schema
from bicerin.testing import LayerRun
from bicerin_data.datum import array_datum
from bicerin_data.image import encode_image
from bicerin_data.stores import create_store
from bicerin_ssd.box_sampler import sampled_boxes
from bicerin_ssd.boxes import coverages, overlaps

#: Label, instance, box and whether it is difficult, of the objects of each record.
OBJECTS = [
    [(1, 0, (0.1, 0.2, 0.5, 0.8), False), (2, 0, (0.25, 0.25, 0.75, 1.0), True), (1, 1, (0.6, 0.0, 1.0, 0.4), False)],
    [],
    [(3, 0, (0.0, 0.0, 1.0, 1.0), False)],
]
SHAPES = [(3, 20, 30), (3, 40, 30), (3, 24, 24)]


def record(image, objects, *, typed=True, encoding="", label=7):
    datum = array_datum(image, label)
    if encoding:
        datum = bicerin_proto.Datum(data=encode_image(image, encoding), encoded=True, label=label)
    message = schema().plugin_type("bicerin-ssd", "AnnotatedDatum")()
    message.datum.MergeFromString(datum.SerializeToString())
    if typed:
        message.type = 0
    for group_label in dict.fromkeys(one[0] for one in objects):
        group = message.annotation_group.add(group_label=group_label)
        for _, instance, box, difficult in (one for one in objects if one[0] == group_label):
            annotation = group.annotation.add(instance_id=instance)
            for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                setattr(annotation.bbox, name, value)
            annotation.bbox.difficult = difficult
    return message.SerializeToString()


def images(shapes=SHAPES):
    random = np.random.default_rng(3)
    return [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


@pytest.fixture
def store(tmp_path):
    def write(records):
        with create_store(tmp_path / "store", "lmdb") as writer:
            for index, value in enumerate(records):
                writer.put(b"%08d" % index, value)

    return write


@pytest.fixture
def make_layer(tmp_path):
    made = []

    def make(transform="", options="batch_size: 3", annotated="", *, phase="TEST", seed=1, tops=2, **context):
        text = (
            f'name: "d" type: "AnnotatedData" {" ".join(["top: " + repr(str(index)) for index in range(tops)])} '
            f'data_param {{ source: "store" backend: LMDB {options} }} '
            f"transform_param {{ {transform} }} annotated_data_param {{ {annotated} }}"
        )
        param = read_layer(text)
        context = {"phase": Phase.of(phase), "random": np.random.default_rng(seed), "directory": tmp_path, **context}
        layer = layers.load("AnnotatedData")(param, Context(**context))
        top = [Blob((), layer.dtype, layer.context.device, name) for name in param.top]
        node = Node(layer, [], top)
        node.set_up()
        made.append(layer)
        return LayerRun(node)

    yield make
    for layer in made:
        layer.close()


def batch(run):
    run.forward()
    return [blob.data.copy() for blob in run.top]


RESIZED = "resize_param { height: 20 width: 20 interp_mode: NEAREST }"


def rows(objects=OBJECTS):
    """The label of one batch."""
    return [
        (image, one[0], one[1], *one[2], one[3])
        for image, found in enumerate(objects)
        for one in sorted(found, key=lambda one: [other[0] for other in found].index(one[0]))
    ]


def test_batches(store, make_layer):
    store(map(record, images(), OBJECTS))
    run = make_layer(RESIZED)
    assert [blob.shape for blob in run.top] == [(3, 3, 20, 20), (1, 1, 3, 8)]
    for _ in range(3):
        data, label = batch(run)
        assert data.shape == (3, 3, 20, 20)
        assert np.allclose(label[0, 0], rows())


def test_one_image_a_batch_needs_no_resizing(store, make_layer):
    stored = images()
    store(map(record, stored, OBJECTS))
    run = make_layer(options="batch_size: 1")
    for image, objects in zip(stored, OBJECTS, strict=True):
        data, label = batch(run)
        assert np.array_equal(data[0], image)
        assert np.allclose(label[0, 0], rows([objects]) or [[-1] * 8])


@pytest.mark.parametrize("encoding", ["png", "jpg"])
def test_encoded_images(encoding, store, make_layer):
    stored = images()[:1]
    store([record(stored[0], OBJECTS[0], encoding=encoding)])
    data, label = batch(make_layer("force_color: true mean_value: 3 scale: 0.5", "batch_size: 1"))
    assert label.shape == (1, 1, 3, 8)
    if encoding == "png":
        assert np.allclose(data[0], (stored[0] - 3.0) * 0.5)


@pytest.mark.parametrize("tops", [1, 2])
def test_records_without_a_type_have_a_label(tops, store, make_layer):
    store(record(image, [], typed=False, label=index) for index, image in enumerate(images()))
    found = batch(make_layer(RESIZED, tops=tops))
    assert found[0].shape == (3, 3, 20, 20)
    if tops == 2:
        assert found[1].shape == (3, 1, 1, 1)
        assert found[1].reshape(-1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("annotated", "message"),
    [
        ("yolo_data_type: 2", "yolo_data_type is 0, for SSD, or 1, for YOLO, not 2"),
        ("yolo_data_type: 1 yolo_data_jitter: 1", "yolo_data_jitter must be from 0 to less than 1, not 1"),
        ("yolo_data_jitter: 0.2", "yolo_data_jitter is 0.2"),
        ("train_diffcult: false", "train_diffcult is false"),
        ("seg_scales: 4", "seg_scales is 4"),
        ("anno_type: BBOXandSeg", "anno_type: BBOXandSeg is not known"),
    ],
)
def test_fields_of_another_fork_are_refused(annotated, message, store, make_layer):
    store([record(image, objects) for image, objects in zip(images(), OBJECTS, strict=True)])
    with pytest.raises(LayerError, match=message):
        make_layer(RESIZED, annotated=annotated)


def test_their_defaults_are_not(store, make_layer):
    store([record(image, objects) for image, objects in zip(images(), OBJECTS, strict=True)])
    make_layer(RESIZED, annotated="yolo_data_type: 0 yolo_data_jitter: 0.3 train_diffcult: true")


@pytest.mark.parametrize("difficult", [True, False])
def test_labels_for_yolo(difficult, store, make_layer):
    """Each image's objects in rows of label, from 0, centre and size; nothing is cut off with a jitter of 0."""
    store(map(record, images(), OBJECTS))
    annotated = f"yolo_data_type: 1 yolo_data_jitter: 0 train_diffcult: {str(difficult).lower()}"
    run = make_layer(RESIZED, annotated=annotated)
    assert [blob.shape for blob in run.top] == [(3, 3, 20, 20), (3, 1, 300, 5)]
    _, label = batch(run)
    for own, objects in zip(label[:, 0], OBJECTS, strict=True):
        expected = np.zeros((300, 5))
        given = [one for one in rows([objects]) if difficult or not one[7]]
        for row, (_, kind, _, xmin, ymin, xmax, ymax, _) in zip(expected, given, strict=False):
            row[:] = kind - 1, (xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin
        assert np.allclose(own, expected)


def test_the_jitter_of_yolo(store, make_layer):
    """A part of each image, in which its boxes are: a square keeps its colour and its place."""
    image = np.zeros((3, 40, 40), np.uint8)
    image[:, 12:28, 10:30] = 200
    store([record(image, [(2, 0, (0.25, 0.3, 0.75, 0.7), False)])] * 3)
    run = make_layer("resize_param { height: 80 width: 80 interp_mode: NEAREST }", "batch_size: 3",
                     "yolo_data_type: 1 yolo_data_jitter: 0.25", phase="TRAIN")  # fmt: skip
    sizes = set()
    for _ in range(4):
        data, label = batch(run)
        for one, (kind, x, y, w, h) in zip(data, label[:, 0, 0], strict=True):
            lit = [np.flatnonzero((one[0] > 100).any(axis=axis)) for axis in (0, 1)]
            found = [lit[0].min(), lit[1].min(), lit[0].max() + 1, lit[1].max() + 1]
            assert kind == 1
            assert np.allclose(
                found, np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * 80, atol=6
            )  # a pixel is 2.5
            sizes.add((round(float(w), 3), round(float(h), 3)))
    assert len(sizes) > 6
    assert all(0.5 <= w <= 0.7 and 0.4 <= h <= 0.55 for w, h in sizes)


def test_another_type_of_annotation(store, make_layer):
    message = schema().plugin_type("bicerin-ssd", "AnnotatedDatum")
    other = message.FromString(record(images()[0], OBJECTS[0]))
    other.type = 1
    store([other.SerializeToString()])
    with pytest.raises(DataError, match="Unknown annotation type: 1"):
        make_layer(RESIZED, options="batch_size: 1").forward()


def test_anno_type_holds_in_place_of_theirs(store, make_layer):
    store(record(image, objects, typed=False) for image, objects in zip(images(), OBJECTS, strict=True))
    assert np.allclose(batch(make_layer(RESIZED, annotated="anno_type: BBOX"))[1][0, 0], rows())


def test_mirror(store, make_layer):
    stored = images()[:1]
    store(map(record, stored, OBJECTS))
    run = make_layer("mirror: true", "batch_size: 1")
    seen = set()
    for _ in range(20):
        data, label = batch(run)
        mirrored = not np.array_equal(data[0], stored[0])
        seen.add(mirrored)
        expected = np.array(rows(OBJECTS[:1]), float)
        if mirrored:
            assert np.array_equal(data[0], stored[0][:, :, ::-1])
            expected[:, [3, 5]] = 1 - expected[:, [5, 3]]
        assert np.allclose(label[0, 0], expected, atol=1e-6)
    assert seen == {True, False}


@pytest.mark.parametrize("crop", ["crop_size: 10", "crop_h: 10 crop_w: 10"])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_crop(crop, phase, store, make_layer):
    """The boxes go with the pixels: an object's corner has the same pixel before and after."""
    ramp = np.stack([np.tile(np.arange(30), (20, 1)), np.tile(np.arange(20)[:, None], 30), np.zeros((20, 30))])
    box = (0.4, 0.4, 0.6, 0.6)
    store([record(ramp.astype(np.uint8), [(1, 0, box, False)])])
    run = make_layer(crop, "batch_size: 1", phase=phase)
    places = set()
    for _ in range(20):
        data, label = batch(run)
        assert data.shape == (1, 3, 10, 10)
        left, top = data[0, :2, 0, 0]
        places.add((left, top))
        whole = (np.array(box) * (30, 20, 30, 20) - (left, top, left, top)) / 10
        clipped = np.clip(whole, 0, 1)
        if label[0, 0, 0, 0] == -1:
            assert (clipped[2] - clipped[0]) * (clipped[3] - clipped[1]) <= 0
        else:
            assert np.allclose(label[0, 0, 0, 3:7], clipped, atol=1e-5)
    assert (len(places) > 5) if phase == "TRAIN" else (places == {(10.0, 5.0)})


@pytest.mark.parametrize(
    ("emit", "kept"),
    [("", [1, 2, 1]), ("emit_type: CENTER", [1, 2]), ("emit_type: MIN_OVERLAP emit_overlap: 0.7", [1])],
)
def test_emit_constraint(emit, kept, store, make_layer):
    """The crop is the middle third of the width; the objects reach into it by different parts."""
    box = [(0.3, 0, 0.5, 1), (0.2, 0, 0.8, 1), (0.6, 0, 1.0, 1)]
    objects = [(label, 0, corners, False) for label, corners in zip((1, 2, 1), box, strict=True)]
    store([record(images([(3, 30, 90)])[0], objects)])
    constraint = f"emit_constraint {{ {emit} }}" if emit else ""
    _, label = batch(make_layer(f"crop_h: 30 crop_w: 30 {constraint}", "batch_size: 1"))
    assert sorted(label[0, 0, :, 1]) == sorted(kept)


def test_resize_and_pad(store, make_layer):
    store([record(np.full((3, 10, 20), 200, np.uint8), [(1, 0, (0, 0, 1, 1), False)])])
    mode = "resize_mode: FIT_LARGE_SIZE_AND_PAD height: 40 width: 40 pad_value: 9"
    data, label = batch(make_layer(f"resize_param {{ {mode} }}", "batch_size: 1"))
    assert (data[0, :, 10:30] == 200).all()
    assert (data[0, :, :10] == 9).all() and (data[0, :, 30:] == 9).all()
    assert np.allclose(label[0, 0, 0, 3:7], [0, 0.25, 1, 0.75])


def test_resize_to_cover(store, make_layer):
    store([record(np.full((3, 10, 20), 200, np.uint8), [(1, 0, (0, 0, 0.5, 1), False)])])
    mode = "resize_mode: FIT_SMALL_SIZE height: 40 width: 40"
    data, label = batch(make_layer(f"resize_param {{ {mode} }}", "batch_size: 1"))
    assert data.shape == (1, 3, 40, 80)
    assert np.allclose(label[0, 0, 0, 3:7], [0, 0, 0.5, 1])
    scaled = make_layer(f"resize_param {{ {mode} height_scale: 20 width_scale: 40 }}", "batch_size: 1")
    assert np.allclose(batch(scaled)[1][0, 0, 0, 3:7], [0, 0, 1, 2])


def test_several_resizes_are_for_whole_batches(store, make_layer):
    store(map(record, images(), OBJECTS))
    run = make_layer("resize_param { height: 16 width: 16 } resize_param { height: 32 width: 32 }")
    assert {batch(run)[0].shape for _ in range(20)} == {(3, 3, 16, 16), (3, 3, 32, 32)}


def test_expansion(store, make_layer):
    store([record(np.full((3, 20, 30), 200, np.uint8), [(1, 0, (0, 0, 1, 1), False)])])
    run = make_layer("expand_param { max_expand_ratio: 3 } mean_value: 50", "batch_size: 1")
    for _ in range(10):
        data, label = batch(run)
        height, width = data.shape[2:]
        inside = np.argwhere(data[0, 0] == 150)
        assert len(inside) == 600 and (np.delete(data[0, 0].reshape(-1), np.flatnonzero(data[0, 0] == 150)) == 0).all()
        corners = (*inside.min(axis=0)[::-1], *(inside.max(axis=0)[::-1] + 1))
        assert np.allclose(label[0, 0, 0, 3:7] * (width, height, width, height), corners, atol=1e-3)


@pytest.mark.parametrize(
    ("constraint", "measure", "least", "most"),
    [
        ("", None, 0, 0),
        ("min_jaccard_overlap: 0.5", overlaps, 0.5, 1),
        ("max_jaccard_overlap: 0.3", overlaps, 0, 0.3),
        ("min_sample_coverage: 0.6 max_sample_coverage: 0.9", coverages, 0.6, 0.9),
        ("min_object_coverage: 0.7", lambda boxes, objects: coverages(objects, boxes).T, 0.7, 1),
    ],
)
def test_sampler(constraint, measure, least, most):
    text = (
        'type: "AnnotatedData" annotated_data_param { batch_sampler { max_trials: 200 '
        "sampler { min_scale: 0.3 max_scale: 0.9 min_aspect_ratio: 0.5 max_aspect_ratio: 2 } "
        f"sample_constraint {{ {constraint} }} }} }}"
    )
    (sampler,) = read_layer(text).annotated_data_param.batch_sampler
    objects = np.array([one[2] for one in OBJECTS[0]], np.float32)
    boxes = sampled_boxes([sampler], objects, np.random.default_rng(0))
    assert 5 < len(boxes) <= 200
    assert (boxes >= 0).all() and (boxes <= 1 + 1e-6).all()
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    assert (np.sqrt(width * height) > 0.299).all() and (np.sqrt(width * height) < 0.901).all()
    assert (width / height > 0.499).all() and (width / height < 2.01).all()
    if measure is None:
        assert len(boxes) == 200
    else:
        found = measure(boxes, objects)
        assert ((found >= least - 1e-6) & (found <= most + 1e-6)).any(axis=1).all()
        sampler.max_sample = 3
        assert len(sampled_boxes([sampler, sampler], objects, np.random.default_rng(0))) == 6


def test_samples_are_parts_of_the_image(store, make_layer):
    store([record(images()[0], OBJECTS[0])])
    sampler = "batch_sampler { sampler { min_scale: 0.5 max_scale: 0.5 } max_sample: 1 max_trials: 1 }"
    run = make_layer(options="batch_size: 1", annotated=sampler)
    shapes = {batch(run)[0].shape for _ in range(5)}
    assert all(abs(shape[2] - 10) <= 1 and abs(shape[3] - 15) <= 1 for shape in shapes)


@pytest.mark.parametrize(
    "transform",
    [
        "distort_param { brightness_prob: 1 brightness_delta: 32 }",
        "distort_param { contrast_prob: 1 contrast_lower: 0.5 contrast_upper: 1.5 }",
        "distort_param { saturation_prob: 1 saturation_lower: 0.5 saturation_upper: 1.5 }",
        "distort_param { hue_prob: 1 hue_delta: 18 }",
        "distort_param { random_order_prob: 1 }",
        "noise_param { decolorize: true }",
        "noise_param { gauss_blur: true }",
        "noise_param { hist_eq: true }",
        "noise_param { clahe: true }",
        "noise_param { jpeg: 30 }",
        "noise_param { erode: true }",
        "noise_param { posterize: true }",
        "noise_param { inverse: true }",
        "noise_param { saltpepper: true saltpepper_param { fraction: 0.3 value: 255 } }",
        "noise_param { convert_to_hsv: true }",
        "noise_param { convert_to_lab: true }",
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_distortion_and_noise_leave_boxes_alone(transform, channels, store, make_layer):
    stored = images([(channels, 20, 30)])
    store(map(record, stored, OBJECTS))
    changed = 0
    run = make_layer(transform, "batch_size: 1")
    for _ in range(5):
        data, label = batch(run)
        assert data.shape == (1, channels, 20, 30)
        assert data.min() >= 0 and data.max() <= 255
        assert np.allclose(label[0, 0], rows(OBJECTS[:1]))
        changed += not np.array_equal(data[0], stored[0])
    only_color = any(name in transform for name in ("saturation", "hue", "order", "decolorize", "convert"))
    assert changed if channels == 3 or not only_color else not changed


def test_what_noise_does(store, make_layer):
    stored = images()[:1]
    store(map(record, stored, OBJECTS))
    for text, expected in (("inverse: true", 255 - stored[0]), ("posterize: true", stored[0] // 64 * 64 + 32)):
        assert np.array_equal(batch(make_layer(f"noise_param {{ {text} }}", "batch_size: 1"))[0][0], expected)


EVERYTHING = f"""
  mirror: true crop_size: 16 mean_value: 104 mean_value: 117 mean_value: 123 {RESIZED}
  distort_param {{ brightness_prob: 0.5 brightness_delta: 32 hue_prob: 0.5 hue_delta: 18 }}
  expand_param {{ prob: 0.5 max_expand_ratio: 4 }} emit_constraint {{ emit_type: CENTER }}
"""
SAMPLERS = """
  batch_sampler { max_sample: 1 max_trials: 1 }
  batch_sampler { sampler { min_scale: 0.3 } sample_constraint { min_jaccard_overlap: 0.1 } max_sample: 1 }
"""


@pytest.mark.parametrize("consumed", [0, 1, 4])
def test_resuming_is_exact(consumed, store, make_layer):
    store(map(record, images(), OBJECTS))
    whole = make_layer(EVERYTHING, "batch_size: 2", SAMPLERS, phase="TRAIN", seed=3)
    for _ in range(consumed):
        batch(whole)
    state = json.loads(json.dumps(whole.layer.state()))
    rest = [batch(whole) for _ in range(4)]
    resumed = make_layer(EVERYTHING, "batch_size: 2", SAMPLERS, phase="TRAIN", seed=99)
    batch(resumed)
    resumed.layer.restore_state(state)
    for expected in rest:
        assert all(np.array_equal(*pair) for pair in zip(expected, batch(resumed), strict=True))
    assert any(not np.array_equal(rest[0][0], other[0]) for other in rest[1:])


def test_a_bad_record(store, make_layer):
    store([record(images()[0], OBJECTS[0]), b"\xff\xff", record(images()[2], OBJECTS[2])])
    with pytest.raises(DataError, match='record "00000001": its 2 bytes are not an AnnotatedDatum'):
        batch(make_layer(RESIZED))
    data, label = batch(make_layer(RESIZED, skip_bad_records=True))
    assert label[0, 0, :, 0].tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert len(data) == 3


@pytest.mark.parametrize(
    ("transform", "options", "annotated", "message"),
    [
        ("resize_param { height: 3 }", "batch_size: 3", "", "height 3 and width 0 must be greater than 0"),
        ("expand_param { max_expand_ratio: 1 }", "batch_size: 3", "", "max_expand_ratio must be greater than 1"),
        ("crop_size: 50", "batch_size: 3", "", "an image of 20 x 30 is smaller than the crop of 50 x 50"),
        ("mean_value: 1 mean_value: 2", "batch_size: 3", "", "Specify either 1 mean_value or as many as channels: 3"),
        ("distort_param { hue_delta: -1 }", "batch_size: 3", "", "hue_delta must be non-negative"),
        ("distort_param { contrast_lower: 2 }", "batch_size: 3", "", "contrast_lower 2 and contrast_upper 0"),
        (
            "",
            "batch_size: 3",
            "batch_sampler { sampler { min_scale: 0 } }",
            "min_scale 0 and max_scale 1 are not a range",
        ),
        ("", "batch_size: 3", "batch_sampler { sampler { max_aspect_ratio: 0.5 } }", "are not a range"),
        ("", "", "", "Positive batch size required"),
    ],
)
def test_wrong_options(transform, options, annotated, message, store, make_layer):
    store(map(record, images(), OBJECTS))
    with pytest.raises(BicerinError, match=message):
        make_layer(transform, options, annotated)


def test_images_of_several_sizes_need_resizing(store, make_layer):
    store(map(record, images(), OBJECTS))
    with pytest.raises(DataError, match=r"its shape is \(3, 40, 30\), but .* \(3, 20, 30\)") as error:
        batch(make_layer())
    assert "resize_param" in str(error.value)
