"""The layers that read images with images of labels: batches of the fork, places, sizes, seeds, snapshots, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.errors import BicerinError

BATCHES = Path(__file__).parent / "recorded" / "batches"
Read = Callable[..., list[list[np.ndarray]]]


@pytest.mark.parametrize("name", ["dense", "dense_gray", "dense_one", "dense_resize"])
def test_batches_of_segnet(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """Five batches of DenseImageData that jolibrain's fork made."""
    monkeypatch.chdir(tmp_path)
    net = bicerin.Net(BATCHES / name / "net.prototxt", phase="TEST", device=device)
    with np.load(BATCHES / name / "batches.npz") as expected:
        for number in range(5):
            net.forward()
            for top in ("data", "label"):
                np.testing.assert_allclose(net.blobs[top].data, expected[f"{top}:{number}"], rtol=1e-6, atol=1e-6)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six pairs: the red channel is the row, the green one the column, and a label is row // 4."""
    lines = []
    for index in range(6):
        rows, columns = np.indices((12, 16))
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.stack([np.full_like(rows, index), columns, rows], axis=-1))
        cv2.imwrite(str(tmp_path / f"{index}_label.png"), rows // 4)
        lines.append(f"{index}.png {index}_label.png\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def read(images: Path) -> Read:
    """The tops of some batches of a layer's text."""

    def batches(
        text: str, number: int = 1, phase: str = "TRAIN", seed: int = 3, tops: int = 2
    ) -> list[list[np.ndarray]]:
        net = make_net(images, text, phase, seed, tops)
        found = []
        for _ in range(number):
            net.forward()
            found.append([net.blobs[f"top{index}"].data.copy() for index in range(tops)])
        return found

    return batches


def make_net(folder: Path, text: str, phase: str = "TRAIN", seed: int = 3, tops: int = 2) -> Any:
    names = " ".join(f'top: "top{index}"' for index in range(tops))
    (folder / "net.prototxt").write_text(f'layer {{ name: "data" {text} {names} }}')
    return bicerin.Net(folder / "net.prototxt", phase=phase, seed=seed)


DENSE = 'type: "DenseImageData" dense_image_data_param {{ source: "list.txt" batch_size: 4 {} }}'
EDGES = 'type: "ImageLabelmapData" image_data_param {{ source: "list.txt" batch_size: 2 {} }}'
SEG = 'type: "SegData" seg_data_param {{ source: "list.txt" {} }}'
PIXELS = 'type: "ImageSegData" image_data_param {{ source: "list.txt" batch_size: 2 label_type: PIXEL {} }}'


def check_places(image: np.ndarray, labels: np.ndarray) -> None:
    """Each label is that of its pixel."""
    assert np.array_equal(labels[:, 0], image[:, 2] // 4)


def test_a_part_and_its_labels(read: Read) -> None:
    found = read(DENSE.format("crop_height: 7 crop_width: 9 mirror: true shuffle: true"), 6)
    for image, labels in found:
        assert image.shape == (4, 3, 7, 9) and labels.shape == (4, 1, 7, 9)
        check_places(image, labels)
    steps = np.concatenate([image[:, 1, 0, 1] - image[:, 1, 0, 0] for image, _ in found])
    assert set(steps) == {1, -1}  # some are mirrored
    corners = {(image[0, 2, 0, 0], image[0, 1, 0, 0]) for image, _ in found}
    assert len(corners) > 3


def test_labels_of_several_pixels(read: Read) -> None:
    ((image, labels),) = read(DENSE.format("new_height: 24 new_width: 32 label_divide_factor: 8"))
    assert image.shape == (4, 3, 24, 32) and labels.shape == (4, 1, 3, 4)
    assert np.array_equal(labels[0, 0], [[0] * 4, [1] * 4, [2] * 4])


@pytest.mark.parametrize("text", [
    DENSE.format("crop_height: 5 crop_width: 5 mirror: true shuffle: true"),
    EDGES.format("shuffle: true rand_skip: 3") + " transform_param { crop_size: 6 mirror: true }",
    SEG.format("shuffle: true") + " transform_param { scale_ratios: [0.8, 1.2] stride: 4 mirror: true }",
    PIXELS.format("shuffle: true") + " transform_param { crop_size: 10 mirror: true scale_factors: [0.5, 1, 1.5] }",
], ids=["dense", "edges", "seg", "pixels"])  # fmt: skip
def test_the_same_seed_and_a_snapshot(text: str, images: Path, read: Read) -> None:
    first, second, other = read(text, 7), read(text, 7), read(text, 7, seed=4)
    assert all(
        np.array_equal(a, b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))
    net = make_net(images, text)
    for _ in range(3):
        net.forward()
    state = dict(net.nodes[0].layer.state())
    resumed = make_net(images, text, seed=9)
    resumed.nodes[0].layer.restore_state(state)
    for image, labels in first[3:]:
        resumed.forward()
        assert np.array_equal(resumed.blobs["top0"].data, image) and np.array_equal(resumed.blobs["top1"].data, labels)


def test_edges(read: Read, images: Path) -> None:
    edge = np.array([[0, 127, 128, 255]], np.uint8)
    cv2.imwrite(str(images / "a.png"), edge)
    (images / "list.txt").write_text("a.png a.png\n")
    assert read(EDGES.format(""))[0][1][0, 0].tolist() == [[0, 0, 1, 1]]
    fractions = read(EDGES.format("label_fractions: true"))[0][1][0, 0]
    assert np.allclose(fractions, edge / 255)


def test_scales_and_strides(read: Read) -> None:
    found = read(SEG.format("") + " transform_param { scale_ratios: [0.5, 1.5] stride: 4 upper_size: 12 scale: 2 }", 12)
    shapes = {image.shape for image, _ in found}
    assert len(shapes) > 2 and all(not (height % 4 or width % 4) for _, _, height, width in shapes)
    assert max(width for *_, width in shapes) == 12
    for image, labels in found:
        assert labels.shape[2:] == image.shape[2:]
        assert set(np.unique(labels)) <= {0, 1, 2}  # and not scaled


def test_balance(read: Read, images: Path) -> None:
    """Parts of one label are drawn anew: of 16 rows two have label 1, and a part of 4 has it."""
    rows = np.zeros((32, 8), np.uint8)
    rows[14:18] = 1
    cv2.imwrite(str(images / "a.png"), rows)
    (images / "list.txt").write_text("a.png a.png\n")
    transform = " transform_param { stride: 1 upper_height: 4 upper_width: 8 }"
    plain = np.mean([labels.mean() > 0.1 for _, labels in read(SEG.format("") + transform, 40)])
    balanced = np.mean([labels.mean() > 0.1 for _, labels in read(SEG.format("balance: true") + transform, 40)])
    assert plain < 0.5 < balanced


def test_a_margin(read: Read) -> None:
    text = (
        PIXELS.format("ignore_label: 99")
        + " transform_param { crop_height: 16 crop_width: 10 mean_value: [1, 2, 3] scale: 2 }"
    )
    ((image, labels, size),) = read(text, phase="TEST", tops=3)
    assert image.shape == (2, 3, 16, 10) and np.array_equal(size.reshape(2, 2), [[12, 10]] * 2)
    assert (image[:, :, :2] == 0).all() and (image[:, :, 14:] == 0).all()
    assert (labels[:, :, :2] == 99).all() and (labels[:, :, 14:] == 99).all()
    rows = image[0, 2, 2:14] / 2 + 3
    columns = image[0, 1, 2:14] / 2 + 2
    assert np.array_equal(labels[0, 0, 2:14], rows // 4) and columns[0].tolist() == list(range(3, 13))


@pytest.mark.parametrize(("kind", "value"), [("label_type: IMAGE", 5), ("label_type: NONE ignore_label: -1", -1)])
def test_one_label_for_all(kind: str, value: int, read: Read, images: Path) -> None:
    (images / "list.txt").write_text("0.png 5\n1.png 5\n")
    ((_, labels),) = read(f'type: "ImageSegData" image_data_param {{ source: "list.txt" batch_size: 2 {kind} }}')
    assert labels.shape == (2, 1, 12, 16) and (labels == value).all()


@pytest.mark.parametrize(("text", "words"), [
    (DENSE.format("rotate: true"), "rotate, of jolibrain's fork, is not known"),
    (DENSE.format("new_height: 4"), "new_height and new_width must be set at the same time"),
    (DENSE.format("crop_height: 40 crop_width: 4"), r"an image of 12 x 16 is smaller than the crop, \(40, 4\)"),
    (DENSE.format("label_divide_factor: 2"), "each stands for 2 x 2"),
    (DENSE.format("") + " transform_param { mirror: true }", "mirror is not for DenseImageData, whose labels"),
    (SEG.format("") + " transform_param { multi_scale: true }", "multi_scale is not for SegData"),
    (SEG.format("") + " transform_param { stride: 64 }", "no part of whole multiples of stride 64"),
    (SEG.format("") + " transform_param { scale_ratios: [2, 1] }", "0 < lower <= upper"),
    (PIXELS.format("") + " transform_param { crop_size: 4 crop_height: 4 crop_width: 4 }", "Use either crop_size"),
    (EDGES.format("label_type: PIXEL"), "are for ImageSegData"),
    (EDGES.format("") + " transform_param { crop_size: 13 }", "smaller than crop_size 13"),
    ('type: "ImageSegData" image_data_param { source: "list.txt" batch_size: 2 }', "'0_label.png' is not a number"),
])  # fmt: skip
def test_what_cannot_be(text: str, words: str, read: Read) -> None:
    with pytest.raises(BicerinError, match=words):
        read(text)


def test_labels_of_another_size(read: Read, images: Path) -> None:
    cv2.imwrite(str(images / "0_label.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(BicerinError, match=r'image "0.png": the image has \(12, 16\) pixels, and its labels \(5, 5\)'):
        read(SEG.format(""))


def test_lists_that_cannot_be(read: Read, images: Path) -> None:
    (images / "list.txt").write_text("0.png\n")
    with pytest.raises(BicerinError, match=r"line 1: '0\.png' is not an image and its label"):
        read(DENSE.format(""))
    (images / "list.txt").write_text("\n")
    with pytest.raises(BicerinError, match="File is empty"):
        read(DENSE.format(""))


@pytest.mark.parametrize(("text", "shapes"), [
    (DENSE.format("new_height: 24 new_width: 32 label_divide_factor: 8"), "4x3x24x32, 4x1x3x4"),
    (PIXELS.format("") + " transform_param { crop_size: 9 }", "2x3x9x9, 2x1x9x9"),
])  # fmt: skip
def test_shapes_without_data(text: str, shapes: str, tmp_path: Path) -> None:
    """`bicerin check` of a net whose files are elsewhere knows what its parameters say."""
    (tmp_path / "net.prototxt").write_text(f'layer {{ name: "data" {text} top: "data" top: "label" }}')
    said = CliRunner().invoke(command_line, ["check", str(tmp_path / "net.prototxt")]).output
    assert f"{shapes} (assumed)" in said
