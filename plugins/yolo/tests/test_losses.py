"""The losses: what is passed down is the gradient of what each part is, in float64; the forms of objects; errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_yolo.boxes_kernels import overlaps, sigmoids
from bicerin_yolo.yolov3_kernels import likenesses

random = np.random.default_rng(0)
ANCHORS = np.array([[0.6, 0.8], [1.1, 0.7], [1.5, 1.9]])
REGION = (
    'type: "RegionLoss" region_loss_param { num: 3 num_class: 2 thresh: 0.4 biases: [0.6, 0.8, 1.1, 0.7, 1.5, 1.9] '
)
PIXELS = "biases: [10, 13, 16, 30, 33, 23]"
YOLO = f'type: "Yolov3" yolov3_param {{ num: 3 num_class: 2 mask: [0, 1, 2] {PIXELS} '
X = random.normal(size=(1, 21, 4, 4))
#: Class, centre, size: three objects at places of their own.
OBJECTS = np.zeros((1, 1, 5, 5))
OBJECTS[0, 0, :3] = [[1, 0.3, 0.3, 0.2, 0.25], [0, 0.8, 0.6, 0.3, 0.15], [1, 0.1, 0.9, 0.5, 0.45]]


def passed_down(text: str, *bottom: np.ndarray, index: int = 0) -> np.ndarray:
    run = run_layer(text, bottom, dtype=np.float64)
    run.forward()
    run.backward([True, False])
    return np.array(run.bottom[index].diff)


def numeric(function: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        values = []
        for sign in (step, -step):
            moved = x.copy()
            moved[place] += sign
            values.append(function(moved))
        gradient[place] = (values[0] - values[1]) / (2 * step)
    return gradient


def cross_entropy(p: np.ndarray, wanted: np.ndarray | float) -> np.ndarray:
    return np.asarray(-(wanted * np.log(p) + (1 - wanted) * np.log(1 - p)))


def boxes(x: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Of x, (A, 5 + K, H, W), and anchors in parts of the image: (A, H, W, 4)."""
    height, width = x.shape[2:]
    j, i = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    a, b = anchors.T[:, :, None, None]
    corners = (i + sigmoids(np, x[:, 0])) / width, (j + sigmoids(np, x[:, 1])) / height
    return np.stack([*corners, np.exp(x[:, 2]) * a, np.exp(x[:, 3]) * b], axis=-1)


def best_anchor(anchors: np.ndarray, size: np.ndarray) -> int:
    alone = [np.concatenate([[0, 0], one]) for one in (*anchors, size)]
    return int(np.argmax([overlaps(np, one, alone[-1]) for one in alone[:-1]]))


@pytest.mark.parametrize("rescore", [0, 1])
def test_region_loss(rescore: int) -> None:
    """It is a sum of squares and, of the classes, the cross-entropy; overlaps count as constants."""
    base = X.reshape(3, 7, 4, 4)
    shared = np.max([overlaps(np, boxes(base, ANCHORS / 4), one[1:]) for one in OBJECTS[0, 0, :3]], axis=0)

    def loss(x: np.ndarray) -> float:
        own = x.reshape(3, 7, 4, 4)
        p = sigmoids(np, own[:, 4])
        nothing = np.where(shared > 0.4, 0, 0.5 * p * p / 2)
        total = 0.0
        for label, u, v, w, h in OBJECTS[0, 0, :3]:
            i, j = int(u * 4), int(v * 4)
            a = best_anchor(ANCHORS / 4, np.array([w, h]))
            nothing[a, j, i] = 0
            at = own[a, :, j, i]
            wanted = np.array([u * 4 - i, v * 4 - j, *np.log(np.array([w, h]) * 4 / ANCHORS[a])])
            found = np.concatenate([sigmoids(np, at[:2]), at[2:4]])
            scale = 5 if rescore else 5 * (2 - w * h)
            total += scale * ((wanted - found) ** 2).sum() / 2
            right = overlaps(np, boxes(base, ANCHORS / 4)[a, j, i], np.array([u, v, w, h])) if rescore else 1
            total += 3 * (right - p[a, j, i]) ** 2 / 2
            total -= 2 * np.log(np.exp(at[5 + int(label)]) / np.exp(at[5:]).sum())
        return float(total + nothing.sum())

    text = f"{REGION} rescore: {rescore} object_scale: 3 class_scale: 2 }} loss_weight: 1.5"
    assert np.allclose(passed_down(text, X, OBJECTS), 1.5 * numeric(loss, X), atol=1e-7)


def test_yolov3() -> None:
    """Without a loss of overlaps it is the cross-entropy of all but the sizes."""
    anchors = np.array([[10, 13], [16, 30], [33, 23]]) / 128
    shared = np.max([overlaps(np, boxes(X.reshape(3, 7, 4, 4), anchors), one[1:]) for one in OBJECTS[0, 0, :3]], axis=0)

    def loss(x: np.ndarray) -> float:
        own = x.reshape(3, 7, 4, 4)
        p = sigmoids(np, own[:, 4])
        nothing = np.where(shared > 0.3, 0, cross_entropy(p, 0))
        total = 0.0
        for label, u, v, w, h in OBJECTS[0, 0, :3]:
            i, j = int(u * 4), int(v * 4)
            a = best_anchor(anchors, np.array([w, h]))
            nothing[a, j, i] = 0
            at = own[a, :, j, i]
            scale = 2 * (2 - w * h)
            total += scale * cross_entropy(sigmoids(np, at[:2]), np.array([u * 4 - i, v * 4 - j])).sum()
            total += scale * ((np.log(np.array([w, h]) / anchors[a]) - at[2:4]) ** 2).sum() / 2
            total += cross_entropy(p[a, j, i], 1)
            smooth = np.where(np.arange(2) == label, 0.9, 0.1)
            total += cross_entropy(sigmoids(np, at[5:]), smooth).sum()
        return float(total + nothing.sum())

    text = f"{YOLO} thresh: 0.3 coord_scale: 2 iou_thresh: 1 label_smooth_eps: 0.2 }}"
    assert np.allclose(passed_down(text, X, OBJECTS), numeric(loss, X), atol=1e-7)


@pytest.mark.parametrize(("form", "shift"), [("IOU", 0.02), ("GIOU", 0.02), ("GIOU", 0.3)])  # of 0.3: they lie apart
def test_the_pull_of_an_overlap(form: str, shift: float) -> None:
    """Of the box's centre and size; the size's is twice that, and by the exponent, as darknet has it."""
    x = np.zeros((1, 21, 4, 4))
    x[0, :, 1, 1] = random.normal(size=21) / 10
    anchor = np.array([16, 30]) / 128
    truth = np.array([0.35 + shift / 4, 0.4, *anchor * [1.1, 0.9]])
    objects = np.zeros((1, 1, 2, 5))
    objects[0, 0, 0] = [1, *truth]
    place = int(truth[0] * 4)
    x[0, 9:11, 1, place] = 0.1, -0.2  # width and height of the second anchor
    delta = passed_down(f"{YOLO} iou_thresh: 1 iou_loss: {form} }}", x, objects).reshape(3, 7, 4, 4)[1, :4, 1, place]
    own = x.reshape(3, 7, 4, 4)[1, :, 1, place]
    box = np.array([(place + sigmoids(np, own[0])) / 4, (1 + sigmoids(np, own[1])) / 4, *np.exp(own[2:4]) * anchor])
    forms = ("MSE", "IOU", "GIOU")
    gradient = numeric(lambda moved: float(likenesses(forms.index(form), moved, truth)), box)
    expected = -0.25 * gradient * [1, 1, *(2 * np.exp(own[2:4]))]
    assert np.allclose(delta, expected, atol=1e-6)


def test_detection_loss() -> None:
    """Half the sum of squares; the overlap that objectness should be counts as a constant."""
    x = random.uniform(0.1, 0.9, (2, 126))
    there = random.integers(0, 2, (2, 9))
    truth = random.uniform(0.2, 0.5, (2, 9, 4)) * there[..., None]
    label = np.concatenate([there * 0, there, random.integers(0, 4, (2, 9)), truth.reshape(2, -1)], axis=1)

    def parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        planes = values.reshape(2, 14, 9)
        return planes[:, :4], planes[:, 4:6], planes[:, 6:].reshape(2, 2, 4, 9).transpose(0, 1, 3, 2)

    found = np.concatenate([parts(x)[2][..., :2], parts(x)[2][..., 2:] ** 2], axis=-1)
    shared = overlaps(np, found, truth[:, None])
    apart = ((found - truth[:, None]) ** 2).sum(axis=-1)
    best = np.where(shared.max(axis=1) > 0, shared.argmax(axis=1), apart.argmin(axis=1))
    responsible = (np.arange(2)[:, None] == best[:, None]) & (there[:, None] != 0)
    wanted = np.concatenate([truth[..., :2], np.sqrt(truth[..., 2:])], axis=-1)

    def loss(values: np.ndarray) -> float:
        classes, objectness, boxes = parts(values)
        onehot = np.arange(4)[:, None] == label[:, None, 18:27]
        total = (there[:, None] * (classes - onehot) ** 2).sum()
        total += 5 * (responsible[..., None] * (boxes - wanted[:, None]) ** 2).sum()
        total += np.where(responsible, (objectness - shared) ** 2, 0.5 * objectness**2).sum()
        return float(total / 2 / 2)

    text = 'type: "DetectionLoss" detection_loss_param { side: 3 num_class: 4 num_object: 2 }'
    assert np.allclose(passed_down(text, x, label), numeric(loss, x), atol=1e-7)


def test_no_object_at_all() -> None:
    label = np.zeros((1, 63))
    run = run_layer('type: "DetectionLoss" detection_loss_param { side: 3 num_class: 4 }', [np.ones((1, 126)), label])
    run.forward()
    assert run.top[0].data == 0.5


@pytest.mark.parametrize("text", [f"{REGION}}}", f"{YOLO}}}"])
def test_the_forms_of_objects_are_one(text: str, device: str) -> None:
    """Rows of five, in one axis or four, and those of AnnotatedData, whose classes begin with 1."""
    half = OBJECTS[0, 0, :3, 3:] / 2
    rows = np.full((4, 8), -1.0)
    rows[:3] = np.column_stack([
        np.zeros(3), OBJECTS[0, 0, :3, 0] + 1, np.zeros(3), OBJECTS[0, 0, :3, 1:3] - half,
        OBJECTS[0, 0, :3, 1:3] + half, np.zeros(3),
    ])  # fmt: skip
    losses = []
    for labels in (OBJECTS, OBJECTS.reshape(1, 25), rows[None, None]):
        run = run_layer(text, [X, labels], dtype=np.float64, device=device)
        losses.append(run.forward())
    assert np.allclose(losses, losses[0], rtol=1e-12)


@pytest.mark.parametrize(("column", "value"), [(0, 2), (0, -1), (1, 1.5), (2, -0.1), (3, -1), (4, 0), (3, np.nan)])
@pytest.mark.parametrize("text", [f"{REGION}}}", f"{YOLO}}}"])
def test_objects_that_cannot_be(text: str, column: int, value: float, device: str) -> None:
    wrong = OBJECTS.copy()
    wrong[0, 0, 1, column] = value
    run = run_layer(text, [X, wrong], device=device)
    with pytest.raises(LayerError, match=r"object 1 of image 0 is \(.*class must be 0 to 1"):
        run.forward()  # a device gives NaN, which is then explained


@pytest.mark.parametrize("text", [f"{REGION}}}", f"{YOLO}}}"])
def test_objects_of_no_image(text: str, device: str) -> None:
    rows = np.array([[[[1, 1, 0, 0.1, 0.1, 0.4, 0.4, 0]]]])
    run = run_layer(text, [X, rows], device=device)
    with pytest.raises(LayerError, match="an object is of an image that is not there; there are 1"):
        run.forward()


@pytest.mark.parametrize(("text", "words"), [
    ('type: "RegionLoss" region_loss_param { num: 3 biases: [1, 2] }', "biases must be pairs.*3 or more"),
    (f'{REGION} softmax_tree: "a.tree" }}', "classes that form a tree"),
    (f"{REGION} coords: 5 }}", "coords must be 4"),
    (f'type: "Yolov3" yolov3_param {{ num: 3 mask: [0, 1, 3] {PIXELS} }}', "mask must name num = 3 of the 3 anchors"),
    ('type: "Yolov3" yolov3_param { num: 1 mask: 0 biases: [0, 1] }', "biases must be > 0"),
])  # fmt: skip
def test_options_that_cannot_be(text: str, words: str) -> None:
    with pytest.raises(LayerError, match=words):
        run_layer(text, [X, OBJECTS])


def test_shapes_that_cannot_be() -> None:
    with pytest.raises(ShapeError, match=r"must have the shape \(N, 21, H, W\)"):
        run_layer(f"{REGION}}}", [X[:, 1:], OBJECTS])
    with pytest.raises(ShapeError, match="planes of 4 x 4 places, for DetectionLoss"):
        run_layer(f"{REGION}}}", [X, np.zeros((1, 112))])
    with pytest.raises(ShapeError, match=r"On 3 x 3 places: 4 classes, 2 boxes"):
        run_layer('type: "DetectionLoss" detection_loss_param { side: 3 num_class: 4 }', [X[0], np.zeros((21, 63))])


def test_a_class_that_is_not_there() -> None:
    label = np.zeros((1, 63))
    label[0, 9], label[0, 18] = 1, 4
    run = run_layer('type: "DetectionLoss" detection_loss_param { side: 3 num_class: 4 }', [np.ones((1, 126)), label])
    with pytest.raises(LayerError, match="place 0 of image 0 is of class 4; there are 4"):
        run.forward()
