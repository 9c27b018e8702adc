"""MultiBoxLoss: against loops that follow SSD's Caffe box by box, gradients, checks."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import check_gradient
from bicerin_ssd.box_code import decode, encode
from bicerin_ssd.cases import CLASSES, multibox_loss
from bicerin_ssd.cases import LOSS_IMAGES as IMAGES
from bicerin_ssd.cases import LOSS_PRIORS as PRIORS
from bicerin_ssd.cases import loss_inputs as inputs

# Loops


def overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [max(box[2] - box[0], 0) * max(box[3] - box[1], 0) for box in (one, other)]
    return shared / (sum(areas) - shared) if shared > 0 else 0.0


def match(boxes, objects, o):
    """For each box the object that it matches, -1 or -2, and its greatest overlap."""
    indices, greatest, free = [-1] * len(boxes), [0.0] * len(boxes), list(range(len(objects)))
    if not objects:
        return indices, greatest
    shared = np.array([[overlap(box, row[3:7]) for row in objects] for box in boxes])
    for i, box in enumerate(boxes):
        if o["ignore_crossing"] and (min(box) < 0 or max(box) > 1):
            indices[i] = -2
            shared[i] = 0
        greatest[i] = max(shared[i])
    while free:
        pairs = [(shared[i, j], -i, -j) for i in range(len(boxes)) if indices[i] == -1 for j in free]
        best = max(pairs, default=(0, 0, 0))
        if best[0] <= 1e-6:
            break
        i, j = -best[1], -best[2]
        indices[i], greatest[i] = j, shared[i, j]
        free.remove(j)
    for i in range(len(boxes)):
        if o["per_prediction"] and indices[i] == -1 and greatest[i] >= max(o["threshold"], 1e-6):
            indices[i] = int(np.argmax(shared[i]))
    return indices, greatest


def smooth(value):
    return 0.5 * value**2 if abs(value) < 1 else abs(value) - 0.5


def confidence(scores, targets, o):
    """Of one box: `targets` is a class, or for logistic one number a class."""
    if o["softmax"]:
        exponents = [exp(score - max(scores)) for score in scores]
        return -log(exponents[targets] / sum(exponents))
    return sum(
        max(score, 0) - score * target + log(1 + exp(-abs(score)))
        for score, target in zip(scores, targets, strict=True)
    )


def one_hot(label):
    return [float(label == other) for other in range(CLASSES)]


def expected(arrays, **options):
    o = {
        "share": True,
        "background": 0,
        "threshold": 0.5,
        "per_prediction": True,
        "by_prior": True,
        "ignore_crossing": False,
        "difficult": True,
        "mining": "MAX_NEGATIVE",
        "ratio": 3.0,
        "neg_overlap": 0.5,
        "sample_size": 64,
        "nms": None,
        "nms_top_k": 0,
        "nms_by_prior": False,
        "code": "CORNER",
        "encoded": False,
        "smooth": True,
        "softmax": True,
        "inside": False,
        "loc_weight": 1.0,
        "agnostic": False,
        "normalization": "VALID",
        **options,
    }
    locations, scores, prior, truth = arrays
    priors = prior.shape[2] // 4
    boxes, variances = prior.reshape(2, priors, 4)
    loc_classes = 1 if o["share"] else CLASSES
    locations = locations.reshape(IMAGES, priors, loc_classes, 4)
    scores = scores.reshape(IMAGES, priors, CLASSES)
    decoded = decode(o["code"], boxes, None if o["encoded"] else variances, locations)

    def label_of(row):
        return o["background"] + 1 if o["agnostic"] else int(row[1])

    def location(image, box, loc_class, row):
        within = None if o["encoded"] else variances[box : box + 1]
        right = encode(o["code"], boxes[box : box + 1], within, row[None, 3:7])[0]
        difference = locations[image, box, loc_class] - right
        reach = boxes[box] if o["by_prior"] else decoded[image, box, loc_class]
        if o["inside"]:
            difference = np.where((reach < 0) | (reach > 1), 0, difference)
        if o["encoded"]:
            difference = difference / variances[box]
        return sum(smooth(value) if o["smooth"] else 0.5 * value**2 for value in difference)

    loc_loss = conf_loss = 0.0
    matches = 0
    everything = np.full((IMAGES, priors), o["background"])
    targets = np.full((IMAGES * priors, CLASSES), float(o["background"]))
    for image in range(IMAGES):
        objects = [row for row in truth[0, 0] if row[0] == image and (o["difficult"] or not row[7])]
        found = {}
        for loc_class in range(loc_classes):
            if not o["share"] and loc_class == o["background"]:
                continue
            if o["by_prior"]:
                indices, greatest = match(boxes, objects, o)
                if not o["share"]:
                    indices = [j if j > -1 and objects[j][1] == loc_class else -1 for j in indices]
            else:
                own = [j for j, row in enumerate(objects) if o["share"] or row[1] == loc_class]
                indices, greatest = match(decoded[image, :, loc_class], [objects[j] for j in own], o)
                indices = [own[j] if j > -1 else j for j in indices]
            found[loc_class] = indices, greatest
        if not objects:
            continue
        if o["mining"] != "NONE":
            indices, greatest = found[0]
            labels = [label_of(objects[j]) if j > -1 else o["background"] for j in indices]
            losses = [
                confidence(scores[image, i], label if o["softmax"] else one_hot(label), o)
                for i, label in enumerate(labels)
            ]
            if o["mining"] == "HARD_EXAMPLE":
                losses = [
                    loss + (location(image, i, 0, objects[j]) if j > -1 else 0)
                    for i, (loss, j) in enumerate(zip(losses, indices, strict=True))
                ]
                eligible = list(range(priors))
                number = min(o["sample_size"], priors)
            else:
                eligible = [i for i in range(priors) if indices[i] == -1 and greatest[i] < o["neg_overlap"]]
                number = min(int(sum(j > -1 for j in indices) * o["ratio"]), len(eligible))
            eligible.sort(key=lambda i, losses=losses: -losses[i])
            if o["nms"] is not None:
                kept = []
                rows = boxes if o["nms_by_prior"] else decoded[image, :, 0]
                for i in eligible[: o["nms_top_k"]]:
                    box = rows[i]
                    area = max(box[2] - box[0], 0) * max(box[3] - box[1], 0)
                    if area >= 1e-5 and all(overlap(box, rows[other]) <= o["nms"] for other in kept):
                        kept.append(i)
                eligible = kept
            picked = set(eligible[:number])
            for i in picked:
                if indices[i] == -1:
                    label = o["background"]
                    background = [float(label)] * CLASSES
                    background[label] = 1.0
                    conf_loss += confidence(scores[image, i], label if o["softmax"] else background, o)
            if o["mining"] == "HARD_EXAMPLE":
                indices = [-1 if j > -1 and i not in picked else j for i, j in enumerate(indices)]
            found[0] = indices, greatest
        for loc_class, (indices, _) in found.items():
            for i, j in enumerate(indices):
                if j < 0:
                    continue
                matches += 1
                loc_loss += location(image, i, loc_class, objects[j])
                label = label_of(objects[j])
                if o["mining"] == "NONE":
                    everything[image, i] = label
                    targets.reshape(-1)[image * priors + i * CLASSES + label] = 1
                else:
                    positive = [float(o["background"])] * CLASSES
                    positive[label] = 1.0
                    conf_loss += confidence(scores[image, i], label if o["softmax"] else positive, o)
    if o["mining"] == "NONE":
        chosen = everything.reshape(-1) if o["softmax"] else targets
        conf_loss = sum(confidence(row, goal, o) for row, goal in zip(scores.reshape(-1, CLASSES), chosen, strict=True))
    divisor = {"VALID": matches, "FULL": IMAGES * priors, "BATCH_SIZE": IMAGES, "NONE": 1}[o["normalization"]]
    assert matches
    return (o["loc_weight"] * loc_loss + conf_loss) / max(divisor, 1)


OPTIONS = [
    ("", {}),
    ("code_type: CENTER_SIZE", {"code": "CENTER_SIZE"}),
    ("code_type: CORNER_SIZE", {"code": "CORNER_SIZE"}),
    ("encode_variance_in_target: true code_type: CENTER_SIZE", {"encoded": True, "code": "CENTER_SIZE"}),
    ("loc_loss_type: L2 loc_weight: 0.3", {"smooth": False, "loc_weight": 0.3}),
    ("conf_loss_type: LOGISTIC", {"softmax": False}),
    ("match_type: BIPARTITE", {"per_prediction": False}),
    ("overlap_threshold: 0.2", {"threshold": 0.2}),
    ("overlap_threshold: 0.2 neg_overlap: 0.1", {"threshold": 0.2, "neg_overlap": 0.1}),
    ("neg_pos_ratio: 1.5", {"ratio": 1.5}),
    ("neg_pos_ratio: 100", {"ratio": 100}),
    ("use_prior_for_matching: false", {"by_prior": False}),
    ("use_prior_for_matching: false code_type: CENTER_SIZE", {"by_prior": False, "code": "CENTER_SIZE"}),
    ("use_difficult_gt: false", {"difficult": False}),
    ("ignore_cross_boundary_bbox: true", {"ignore_crossing": True}),
    ("bp_inside: true", {"inside": True}),
    ("bp_inside: true use_prior_for_matching: false", {"inside": True, "by_prior": False}),
    ("mining_type: NONE", {"mining": "NONE"}),
    ("mining_type: NONE conf_loss_type: LOGISTIC", {"mining": "NONE", "softmax": False}),
    (
        "mining_type: NONE conf_loss_type: LOGISTIC overlap_threshold: 0.01",
        {"mining": "NONE", "softmax": False, "threshold": 0.01},
    ),
    ("mining_type: NONE share_location: false", {"mining": "NONE", "share": False}),
    (
        "mining_type: NONE share_location: false use_prior_for_matching: false",
        {"mining": "NONE", "share": False, "by_prior": False},
    ),
    ("mining_type: HARD_EXAMPLE", {"mining": "HARD_EXAMPLE"}),
    ("mining_type: HARD_EXAMPLE sample_size: 5", {"mining": "HARD_EXAMPLE", "sample_size": 5}),
    (
        "mining_type: HARD_EXAMPLE sample_size: 4 loc_loss_type: L2 conf_loss_type: LOGISTIC",
        {"mining": "HARD_EXAMPLE", "sample_size": 4, "smooth": False, "softmax": False},
    ),
    (
        "mining_type: HARD_EXAMPLE sample_size: 12 ignore_cross_boundary_bbox: true",
        {"mining": "HARD_EXAMPLE", "sample_size": 12, "ignore_crossing": True},
    ),
    ("nms_param { nms_threshold: 0.3 top_k: 10 }", {"nms": 0.3, "nms_top_k": 10}),
    (
        "nms_param { nms_threshold: 0.2 top_k: 100 } use_prior_for_nms: true",
        {"nms": 0.2, "nms_top_k": 100, "nms_by_prior": True},
    ),
    ("nms_param { nms_threshold: 0.3 }", {"nms": 0.3, "nms_top_k": 0}),  # Without a top_k nothing is left.
    ("nms_param { nms_threshold: 0 top_k: 3 }", {}),
    (
        "mining_type: HARD_EXAMPLE sample_size: 5 nms_param { nms_threshold: 0.4 top_k: 12 }",
        {"mining": "HARD_EXAMPLE", "sample_size": 5, "nms": 0.4, "nms_top_k": 12},
    ),
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("options", "arguments"), OPTIONS)
def test_loss(run_layer, options, arguments, seed):
    arrays = inputs(1 if arguments.get("share", True) else CLASSES, seed)
    run = run_layer(multibox_loss(options), arrays, dtype=np.float64)
    assert np.isclose(run.forward(), expected(arrays, **arguments), rtol=1e-6)


@pytest.mark.parametrize(("options", "arguments"), OPTIONS)
def test_more_boxes_than_a_block_has_threads(run_layer, options, arguments):
    """With equal overlaps and losses, and ground truth in no order of images."""
    arrays = inputs(1 if arguments.get("share", True) else CLASSES, 1, alike=True, number=300)
    arrays[3] = arrays[3][:, :, np.random.default_rng(0).permutation(arrays[3].shape[2])]
    run = run_layer(multibox_loss(options), arrays, dtype=np.float64)
    assert np.isclose(run.forward(), expected(arrays, **arguments), rtol=1e-6)


def test_more_objects_than_a_block_has_threads(run_layer):
    """Of those that are alike, the first ones match."""
    arrays = inputs()
    priors = arrays[2][0, 0].reshape(-1, 4)
    rows = [[0, 1 if index < 44 else 2, 0, *priors[index % 4], 0] for index in range(300)]
    arrays[3] = np.array(rows)[None, None]
    run = run_layer(multibox_loss(), arrays, dtype=np.float64)
    assert np.isclose(run.forward(), expected(arrays), rtol=1e-6)


@pytest.mark.parametrize(("options", "arguments"), [each for each in OPTIONS if "encoded" not in each[1]])
def test_gradient_along_a_direction(run_layer, options, arguments):
    arrays = inputs(1 if arguments.get("share", True) else CLASSES, 2, number=40)
    run = run_layer(multibox_loss(options), arrays, dtype=np.float64)
    run.forward()
    run.top[0].diff.fill(1)
    run.backward([True, True, False, False])
    random = np.random.default_rng(0)
    directions = [random.normal(size=blob.shape) for blob in run.bottom[:2]]
    slope = sum((blob.read_only.diff * along).sum() for blob, along in zip(run.bottom, directions, strict=False))
    losses = []
    for step in (1e-6, -1e-6):
        for blob, array, along in zip(run.bottom, arrays, directions, strict=False):
            blob.data[...] = array + step * along
        losses.append(run.forward())
    assert np.isclose((losses[0] - losses[1]) / 2e-6, slope, rtol=1e-5)


@pytest.mark.parametrize("mining", ["NONE", "MAX_NEGATIVE"])
@pytest.mark.parametrize("softmax", [True, False])
def test_another_background(run_layer, mining, softmax):
    arrays = inputs(objects=((0, 1), (0, 0), (2, 1)))
    kind = "SOFTMAX" if softmax else "LOGISTIC"
    options = f"background_label_id: 2 mining_type: {mining} conf_loss_type: {kind}"
    run = run_layer(multibox_loss(options), arrays, dtype=np.float64)
    assert np.isclose(run.forward(), expected(arrays, background=2, mining=mining, softmax=softmax), rtol=1e-6)


@pytest.mark.parametrize("normalization", ["FULL", "VALID", "BATCH_SIZE", "NONE"])
def test_normalization(run_layer, normalization):
    arrays = inputs()
    run = run_layer(multibox_loss(loss=f"normalization: {normalization}"), arrays, dtype=np.float64)
    assert np.isclose(run.forward(), expected(arrays, normalization=normalization), rtol=1e-6)


@pytest.mark.parametrize(("normalize", "normalization"), [("true", "VALID"), ("false", "BATCH_SIZE")])
def test_the_deprecated_normalize(run_layer, normalize, normalization):
    arrays = inputs()
    run = run_layer(multibox_loss(loss=f"normalize: {normalize}"), arrays, dtype=np.float64)
    assert np.isclose(run.forward(), expected(arrays, normalization=normalization), rtol=1e-6)


@pytest.mark.parametrize("normalization", ["FULL", "BATCH_SIZE", "NONE"])
def test_gradient_with_a_normalization(normalization):
    check_gradient(multibox_loss(loss=f"normalization: {normalization}"), inputs(), check_bottom=(0, 1))


@pytest.mark.parametrize("options", ["share_location: false", "share_location: false use_prior_for_matching: false"])
def test_gradient_of_locations_of_each_class(options):
    check_gradient(multibox_loss(f"mining_type: NONE {options}"), inputs(CLASSES), check_bottom=(0, 1))


def test_the_gradient_with_variances_in_the_targets_leaves_these_out(run_layer):
    arrays = inputs()
    run = run_layer(multibox_loss("encode_variance_in_target: true"), arrays, dtype=np.float64)
    run.forward()
    run.top[0].diff.fill(1)
    run.backward([True, False, False, False])
    analytic = run.bottom[0].diff.copy()
    variances = arrays[2][0, 1]
    for position in np.argwhere(analytic)[:10]:
        place = tuple(position)
        value = run.bottom[0].data[place]
        run.bottom[0].data[place] = value + 1e-5
        above = run.forward()
        run.bottom[0].data[place] = value - 1e-5
        numeric = (above - run.forward()) / 2e-5
        run.bottom[0].data[place] = value
        assert np.isclose(analytic[place], numeric * variances[place[1]], rtol=1e-4)


@pytest.mark.parametrize(("which", "options"), [((True, False), "loc_weight: 1"), ((False, True), "loc_weight: 0")])
def test_propagate_down_says_what_counts(run_layer, which, options):
    arrays = inputs()
    flags = " ".join(f"propagate_down: {str(flag).lower()}" for flag in (*which, False, False))
    text = f'type: "MultiBoxLoss" multibox_loss_param {{ num_classes: {CLASSES} }} {flags}'
    run = run_layer(text, arrays, dtype=np.float64)
    whole, only_confidence = expected(arrays), expected(arrays, loc_weight=0.0)
    assert np.isclose(run.forward(), only_confidence if which[1] else whole - only_confidence)


def test_classes_that_do_not_matter(run_layer):
    arrays = inputs()
    arrays[1] = arrays[1][:, : PRIORS * 2]
    text = 'type: "MultiBoxLoss" multibox_loss_param { num_classes: 2 map_object_to_agnostic: true }'
    both = run_layer(text, arrays, dtype=np.float64).forward()
    arrays[3][..., 1] = np.where(arrays[3][..., 1] > 0, 1, arrays[3][..., 1])
    assert np.isclose(both, run_layer(text.replace("true", "false"), arrays, dtype=np.float64).forward())


@pytest.mark.parametrize("options", ["", "conf_loss_type: LOGISTIC", "loc_loss_type: L2"])
@pytest.mark.parametrize("index", [0, 1])
def test_predictions_that_are_nan(run_layer, index, options):
    arrays = inputs()
    arrays[index][:] = np.nan
    assert np.isnan(run_layer(multibox_loss(f"mining_type: NONE {options}"), arrays).forward())


def test_no_objects_at_all(run_layer):
    arrays = inputs(objects=())
    run = run_layer(multibox_loss(), arrays)
    assert run.forward() == 0
    run.top[0].diff.fill(1)
    run.backward()
    assert not run.bottom[0].diff.any() and not run.bottom[1].diff.any()
    everything = run_layer(multibox_loss("mining_type: NONE"), arrays)
    assert everything.forward() > 0


def test_another_number_of_objects(run_layer):
    run = run_layer(multibox_loss(), inputs(), dtype=np.float64)
    run.forward()
    other = inputs(seed=3, objects=((1, 2),))
    run.bottom[3].reshape(*other[3].shape)
    for blob, array in zip(run.bottom, other, strict=True):
        blob.data[...] = array
    assert np.isclose(run.forward(), expected(other), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("do_neg_mining: false", "do_neg_mining is false, but mining_type is MAX_NEGATIVE"),
        ("do_neg_mining: true mining_type: NONE", "do_neg_mining is true, but mining_type is NONE"),
        ("share_location: false", "Currently only support negative mining if share_location is true"),
        ("mining_type: HARD_EXAMPLE sample_size: 0", "sample_size must be greater than 0"),
        ("background_label_id: 3", r"background_label_id should be within \[0, num_classes\) for Softmax"),
        ("map_object_to_agnostic: true", "map_object_to_agnostic needs num_classes 2, not 3"),
    ],
)
def test_wrong_options(run_layer, options, message):
    with pytest.raises(LayerError, match=message):
        run_layer(multibox_loss(options), inputs(CLASSES if "share" in options else 1))


def test_num_classes_is_needed(run_layer):
    with pytest.raises(LayerError, match="Must provide num_classes"):
        run_layer('type: "MultiBoxLoss"', inputs())


@pytest.mark.parametrize("ratio", ["nan", "inf"])
def test_a_ratio_that_is_no_number(run_layer, ratio):
    text = f'type: "MultiBoxLoss" multibox_loss_param {{ num_classes: 4 neg_pos_ratio: {ratio} }}'
    with pytest.raises(LayerError, match=f"neg_pos_ratio must be a finite number, not {ratio}"):
        run_layer(text, inputs())


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (0, (3, 60), "Number of priors must match number of location predictions: .* 64 against 60"),
        (1, (3, 44), "Number of priors must match number of confidence predictions: .* 48 against 44"),
        (1, (2, 48), "The data and label should have the same first dimension"),
        (3, (1, 1, 4, 7), r"ground truth has the shape \(1, 1, rows, 8\), not \(1, 1, 4, 7\)"),
    ],
)
def test_wrong_shapes(run_layer, index, shape, message):
    arrays = inputs()
    arrays[index] = np.zeros(shape)
    with pytest.raises(ShapeError, match=message):
        run_layer(multibox_loss(), arrays)


@pytest.mark.parametrize(
    ("label", "message"), [(0, "Found background label in the dataset"), (3, "has the label 3, and num_classes is 3")]
)
def test_wrong_labels(run_layer, label, message):
    with pytest.raises(LayerError, match=message):
        run_layer(multibox_loss(), inputs(objects=((0, label),))).forward()


@pytest.mark.parametrize(
    ("options", "row", "message"),
    [
        ("code_type: CORNER_SIZE use_prior_for_matching: false", 0, "prior box 4 has no width or no height"),
        ("", 1, "the variances of prior boxes must be positive, not 0"),
    ],
)
def test_priors_that_cannot_be(run_layer, options, row, message):
    """Prior 4 matches the second object."""
    arrays = inputs()
    arrays[2][0, row, 16:20] = 0
    with pytest.raises(LayerError, match=message):
        run_layer(multibox_loss(options), arrays).forward()


@pytest.mark.parametrize(("index", "what"), [(2, "prior"), (3, "label")])
def test_only_predictions_have_a_gradient(run_layer, index, what):
    run = run_layer(multibox_loss(), inputs())
    run.forward()
    with pytest.raises(LayerError, match=f"cannot backpropagate to {what} inputs"):
        run.backward([position == index for position in range(4)])


# RefineDet


def test_a_first_stage_moves_the_prior_boxes(run_layer):
    """As with prior boxes that are there from the start; of one image, since all have their own."""
    options = "code_type: CENTER_SIZE mining_type: NONE"
    locations, scores, priors, rows = inputs(1)
    rows = rows[:, :, rows[0, 0, :, 0] == 0]
    moves = np.random.default_rng(8).normal(size=(1, PRIORS, 1, 4)) * 0.3
    boxes, variances = priors.reshape(2, PRIORS, 4)
    moved = np.stack((decode("CENTER_SIZE", boxes, variances, moves)[0, :, 0].reshape(-1), variances.reshape(-1)))[None]
    first = [np.ones((1, PRIORS * 2)), moves.reshape(1, -1)]
    plain = run_layer(multibox_loss(options), [locations[:1], scores[:1], moved, rows])
    stages = multibox_loss(options) + " propagate_down: false propagate_down: false"
    refined = run_layer(stages, [locations[:1], scores[:1], priors, rows, *first])
    for run in (plain, refined):
        run.forward()
        run.backward([True, True] + [False] * (len(run.bottom) - 2))
    assert float(refined.top[0].data) == pytest.approx(float(plain.top[0].data), rel=1e-5)
    for index in (0, 1):
        assert np.allclose(refined.bottom[index].diff, plain.bottom[index].diff, rtol=1e-4, atol=1e-6)
        assert np.asarray(refined.bottom[index].diff).any()


def test_places_that_a_first_stage_finds_empty_are_no_hard_examples(run_layer):
    arrays = inputs(1)
    sure = np.random.default_rng(9).random((IMAGES, PRIORS)) > 0.5
    first = np.stack((~sure, sure), axis=2).reshape(IMAGES, -1).astype(float)
    staged = run_layer(multibox_loss("objectness_score: 0.5") + " propagate_down: false", [*arrays, first])
    every = run_layer(multibox_loss("mining_type: NONE"), arrays)
    for run in (staged, every):
        run.forward()
        run.backward([True, True] + [False] * (len(run.bottom) - 2))
    counted, located = (
        np.abs(np.asarray(blob.diff)).reshape(IMAGES, PRIORS, -1).sum(axis=2) > 0
        for blob in (staged.bottom[1], every.bottom[0])
    )
    # Boxes that match an object always count; of the others none that the first stage is not sure of.
    assert (counted | ~located).all()
    assert not (counted & ~located & ~sure).any() and (counted & ~located & sure).any()


@pytest.mark.parametrize(
    ("options", "stages", "words"),
    [
        ("use_prior_for_matching: false", 2, "matched where it moves them"),
        ("mining_type: HARD_EXAMPLE", 2, "not supported with a first stage"),
        ("objectness_score: 0.5", 0, "needs a fifth bottom"),
    ],
)
def test_what_a_first_stage_does_not_go_with(run_layer, options, stages, words):
    blobs = [np.ones((IMAGES, PRIORS * 2)), np.ones((IMAGES, PRIORS * 4))][:stages]
    with pytest.raises(LayerError, match=words):
        run_layer(multibox_loss(options) + " propagate_down: false" * stages, [*inputs(1), *blobs])


def test_a_first_stage_has_scores_for_each_prior_box(run_layer):
    with pytest.raises(ShapeError, match="first stage's scores"):
        run_layer(multibox_loss() + " propagate_down: false", [*inputs(1), np.ones((IMAGES, PRIORS))])
