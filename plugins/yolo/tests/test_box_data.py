"""BoxData: both forms of labels, the parts of images that are trained on, exact resuming, records that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bicerin
import bicerin_proto
from bicerin.errors import DataError
from bicerin_data.image import encode_image
from bicerin_data.stores import create_store

#: Class, difficult, x, y, width, height of the objects of each record.
OBJECTS = [
    [(2, 0, 0.25, 0.5, 0.2, 0.4), (0, 1, 0.9, 0.1, 0.1, 0.1), (1, 0, 0.3, 0.6, 0.5, 0.6)],
    [(1, 0, 1.0, 1.0, 0.5, 0.5)],
]
random = np.random.default_rng(5)
IMAGES = [random.integers(0, 256, (3, 24, 36), dtype=np.uint8) for _ in OBJECTS]


def record(image: np.ndarray, objects: Sequence[Sequence[float]]) -> bytes:
    numbers = [number for one in objects for number in one]
    datum = bicerin_proto.Datum(data=encode_image(image, "png"), encoded=True, float_data=numbers)
    return bytes(datum.SerializeToString())


@pytest.fixture
def net(tmp_path: Path) -> Callable[..., Any]:
    def make(options: str, tops: int = 1, phase: str = "TEST", records: Sequence[bytes] = (), more: str = "") -> Any:
        if not (tmp_path / "store").exists():
            with create_store(tmp_path / "store", "lmdb") as writer:
                for index, value in enumerate(records or map(record, IMAGES, OBJECTS)):
                    writer.put(b"%08d" % index, value)
        labels = "".join(f' top: "label{index}"' for index in range(tops))
        text = f"""layer {{ name: "data" type: "BoxData" top: "data"{labels} {more}
            data_param {{ source: "{tmp_path / "store"}" backend: LMDB batch_size: 2 {options} }} }}"""
        return bicerin.Net(text, phase=phase)

    return make


def test_places(net: Callable[..., Any]) -> None:
    """Planes for each side; of two objects at a place, the last."""
    made = net("side: 2 side: 3", tops=2)
    tops = made.forward()
    assert np.array_equal(tops["data"], IMAGES)
    difficult, there, label, boxes = np.split(tops["label0"][0], [4, 8, 12])
    assert difficult.tolist() == [0, 1, 0, 0]
    assert there.tolist() == [0, 1, 1, 0]
    assert label.tolist() == [-1, 0, 1, -1]
    assert np.allclose(boxes.reshape(4, 4), [[0] * 4, OBJECTS[0][1][2:], OBJECTS[0][2][2:], [0] * 4])
    assert tops["label0"][1, 4:8].tolist() == [0, 0, 0, 1]  # a centre at the end is in the last place
    assert tops["label1"].shape == (2, 63)
    assert tops["label1"][0, 9:18].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0]
    made.close()


def test_rows(net: Callable[..., Any]) -> None:
    made = net("label_rows: 2")
    label = made.forward()["label0"].reshape(2, 2, 5)
    assert np.allclose(label[0], [[one[0], *one[2:]] for one in OBJECTS[0][:2]])
    assert np.allclose(label[1], [[1, 1, 1, 0.5, 0.5], [0] * 5])
    made.close()


def test_without_labels(net: Callable[..., Any]) -> None:
    made = net("", tops=0)
    assert list(made.forward()) == ["data"]
    made.close()


def test_parts_of_images(net: Callable[..., Any]) -> None:
    """A square on black is where its box says, whatever part of the image is taken, mirrored or not."""
    image = np.zeros((3, 60, 60), np.uint8)
    image[:, 12:36, 18:42] = 255
    made = net("label_rows: 3", phase="TRAIN", records=[record(image, [(0, 0, 0.5, 0.4, 0.4, 0.4)])] * 2,
               more="transform_param { mirror: true }")  # fmt: skip
    seen = set()
    for _ in range(10):
        tops = made.forward()
        for one, label in zip(tops["data"], tops["label0"].reshape(2, 3, 5), strict=True):
            rows, columns = (np.flatnonzero((one[0] > 128).any(axis=axis)) for axis in (1, 0))
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            (x, y, w, h), number = label[0, 1:] * 60, (label[:, 3] > 0).sum()
            assert number == 1
            assert np.allclose(found, np.clip([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 0, 60), atol=1.6)
            seen.add(tuple(found))
    assert len(seen) > 10
    made.close()


def test_it_resumes_exactly(net: Callable[..., Any]) -> None:
    first, second = (net("label_rows: 3", phase="TRAIN", more="transform_param { mirror: true }") for _ in range(2))
    first.forward()
    second.layers[0].restore_state(first.layers[0].state())
    for _ in range(3):
        assert np.array_equal(first.forward()["data"], second.forward()["data"])
    for made in (first, second):
        made.close()


@pytest.mark.parametrize(("objects", "words"), [
    ([(1, 0, 0.5)], "float_data holds 3 numbers, but an object has 6"),
    ([(-1, 0, 0.5, 0.5, 0.1, 0.1)], "an object is of class -1"),
    ([(1, 0, 1.5, 0.5, 0.1, 0.1)], "centre is not in the image"),
    ([(1, 0, 0.5, 0.5, 0.1, 0)], "not greater than 0"),
])  # fmt: skip
def test_records_that_cannot_be(net: Callable[..., Any], objects: Sequence[Sequence[float]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        net("label_rows: 3", records=[record(IMAGES[0], objects)])


def test_a_record_without_an_image(net: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="it is not encoded"):
        net("", records=[bicerin_proto.Datum(channels=1, height=1, width=1, data=b"a").SerializeToString()])


@pytest.mark.parametrize(("options", "tops", "more", "words"), [
    ("side: 2 side: 3", 1, "", "there must be 2 tops of labels, not 1"),
    ("label_rows: 4", 2, "", "there must be 1 tops of labels, not 2"),
    ("side: 0", 1, "", "side must be > 0"),
    ("", 1, "transform_param { crop_size: 10 }", "crop_size would leave the boxes where they were"),
])  # fmt: skip
def test_options_that_cannot_be(net: Callable[..., Any], options: str, tops: int, more: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        net(options, tops=tops, more=more)
