"""`bicerin predict`: a trained net says what images show."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import bicerin
from bicerin.cli.command_line import command_line

ROOT = Path(__file__).parents[1]
LENET = ROOT / "tests" / "recorded" / "models" / "lenet.prototxt"
WEIGHTS = LENET.with_suffix(".caffemodel")
TRAINED = ROOT / "examples" / "mnist" / "lenet_train_test.prototxt"


def predict(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(command_line, ["predict", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def digits(tmp_path: Path) -> tuple[list[Path], np.ndarray, np.ndarray]:
    """Files, images (N, 28, 28) and labels of digits that the net was not trained on."""
    with np.load(ROOT / "examples" / "mnist" / "digits.npz") as found:
        images, labels = found["images"][9000:9040], found["labels"][9000:9040]
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        cv2.imwrite(str(file), image)
    return files, images, labels


def test_as_the_net_says(digits: tuple[list[Path], np.ndarray, np.ndarray]) -> None:
    files, images, labels = digits
    scaled = ("--scale", 1 / 256)
    found = json.loads(predict(LENET, "-w", WEIGHTS, *scaled, "--json", "--batch-size", 7, *files).stdout)
    net = bicerin.Net(LENET, "TEST", WEIGHTS)
    expected = net.forward({"data": images[:, None] / 256})["prob"]
    assert [row["image"] for row in found] == list(map(str, files))
    for row, scores in zip(found, expected, strict=True):
        best = np.argsort(-scores, kind="stable")[:5]
        assert [one["number"] for one in row["predictions"]] == best.tolist()
        assert [one["score"] for one in row["predictions"]] == pytest.approx(scores[best], rel=1e-4, abs=1e-8)
    assert (expected.argmax(axis=1) == labels).mean() > 0.9


def test_a_table_with_labels(digits: tuple[list[Path], np.ndarray, np.ndarray], tmp_path: Path) -> None:
    files, _, labels = digits
    (tmp_path / "labels.txt").write_text("\n".join(f"digit {number}" for number in range(10)))
    options = ("-w", WEIGHTS, "--labels", tmp_path / "labels.txt", "--top", 2, "--scale", 1 / 256)
    lines = predict(LENET, *options, *files[:2]).stdout.splitlines()
    rows = [line.split() for line in lines[2:]]
    assert [len(row) for row in rows] == [4, 3, 4, 3]
    assert [row[0] for row in rows[::2]] == list(map(str, files[:2]))
    assert [int(row[-1]) for row in rows[::2]] == labels[:2].tolist()


def test_the_transformation_of_another_net(digits: tuple[list[Path], np.ndarray, np.ndarray]) -> None:
    files = digits[0][:3]
    given = predict(LENET, "-w", WEIGHTS, "--json", "--transform-of", TRAINED, *files)
    assert given.stdout == predict(LENET, "-w", WEIGHTS, "--json", "--scale", 0.00390625, *files).stdout
    assert "nothing says" not in given.stderr
    assert "nothing says how images are prepared" in predict(LENET, "-w", WEIGHTS, *files).stderr


def test_a_net_to_train(digits: tuple[list[Path], np.ndarray, np.ndarray], tmp_path: Path) -> None:
    """Its data layer is left out, and its transformation is done; the loss becomes probabilities."""
    files = digits[0][:3]
    net = tmp_path / "net.prototxt"
    net.write_text(TRAINED.read_text().replace("scale: 0.00390625", "scale: 0.00390625 crop_size: 28 force_gray: true"))
    # lenet.prototxt has the layers of this net under the same names.
    found = json.loads(predict(net, "-w", WEIGHTS, "--json", *files).stdout)
    expected = json.loads(predict(LENET, "-w", WEIGHTS, "--json", "--scale", 0.00390625, *files).stdout)
    assert found == expected


def test_what_cannot_be_done(digits: tuple[list[Path], np.ndarray, np.ndarray], tmp_path: Path) -> None:
    files = digits[0][:1]
    assert "none.png" in predict(LENET, "-w", WEIGHTS, "none.png", status=1).stderr
    assert "test_lmdb does not exist" in predict(TRAINED, "-w", WEIGHTS, *files, status=1).stderr
    assert "is not a size" in predict(LENET, "-w", WEIGHTS, "--resize", "a", *files, status=2).stderr
    assert "at least the 28 x 28" in predict(LENET, "-w", WEIGHTS, "--resize", "20", *files, status=1).stderr
    refused = predict(LENET, "-w", WEIGHTS, "--transform-of", LENET, *files, status=1)
    assert "none of its layers that read data has a transform_param" in refused.stderr
    assert "1 or 3 channels" not in refused.stderr
