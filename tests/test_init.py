"""`bicerin init`: what it makes of folders of images, and of trained nets. docs/train-on-your-images.md trains one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import bicerin
import bicerin_proto
from bicerin.cli.command_line import command_line
from bicerin.schema.installed_schema import read_net
from bicerin_data import Preprocessor
from bicerin_data.fine_tuned_net import fine_tuned_net
from bicerin_data.stores import open_store

ROOT = Path(__file__).parents[1]
LENET = ROOT / "tests" / "recorded" / "models" / "lenet.prototxt"
WEIGHTS = LENET.with_suffix(".caffemodel")


def run(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(command_line, list(map(str, arguments)))
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `images`: 12 dark and 10 bright gray ones of 30 x 40, and 8 of 28 x 28 in colour."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, number, shape, low in (
        ("dark", 12, (30, 40), 0), ("bright", 10, (30, 40), 120), ("colour", 8, (28, 28, 3), 60)
    ):  # fmt: skip
        path = tmp_path / "images" / name
        path.mkdir(parents=True)
        for index in range(number):
            cv2.imwrite(str(path / f"{index}.png"), random.integers(low, low + 120, shape, dtype=np.uint8))
    return tmp_path


def records(store: str) -> list[Any]:
    return [bicerin_proto.Datum.FromString(value) for _, value in open_store(Path(store), "lmdb").records()]


def test_a_new_project() -> None:
    said = run("init", "images", "project").stdout
    assert said.startswith("project: 3 classes, 24 images to train on, 6 to validate with; 28 x 28, colour\n")
    assert Path("project/labels.txt").read_text() == "bright\ncolour\ndark\n"
    trained_on, validated_with = records("project/train_lmdb"), records("project/validation_lmdb")
    assert [(one.channels, one.height, one.width) for one in trained_on] == [(3, 28, 28)] * 24
    labels = [one.label for one in trained_on]
    assert labels != sorted(labels)
    assert np.bincount([one.label for one in validated_with]).tolist() == [2, 2, 2]
    images = np.stack([np.frombuffer(one.data, np.uint8).reshape(3, 28, 28) for one in trained_on])
    mean = bicerin_proto.blob_array(bicerin_proto.BlobProto.FromString(Path("project/mean.binaryproto").read_bytes()))
    assert np.allclose(mean[0], images.mean(axis=0), atol=1e-3)
    run("check", "project/solver.prototxt")
    solver = bicerin.Solver("project/solver.prototxt")
    solver.step(1)
    assert solver.net.blobs["data"].shape == (8, 3, 28, 28)
    assert solver.param.test_iter[0] * solver.test_nets[0].blobs["data"].shape[0] == 6
    # What `predict` gives the net to use is what the data layer gives the net in phase TEST.
    deployed = bicerin.Net("project/deploy.prototxt")
    solver.test_nets[0].run_forward(0, 1)
    first = open_store(Path("project/validation_lmdb"), "lmdb").records().__next__()[0].decode().split("_", 1)[1]
    assert np.array_equal(
        Preprocessor.of_net(deployed)(f"images/{first}")[0], solver.test_nets[0].blobs["data"].data[0]
    )
    assert deployed.blobs["prob"].shape == (1, 3)


def test_options_of_a_new_net() -> None:
    found = json.loads(run("init", "images", "p", "--size", "40x32", "--gray", "--mirror", "--json").stdout)
    assert found["shape"] == [1, 40, 32] and found["replaced"] is None
    train, test = read_net(Path("p/train_test.prototxt")).message.layer[:2]
    assert train.transform_param.mirror and not test.transform_param.mirror
    assert records("p/train_lmdb")[0].channels == 1


def test_images_of_one_channel_are_gray(folder: Path) -> None:
    for path in (folder / "images" / "colour").iterdir():
        path.unlink()
    assert "2 classes" in (said := run("init", "images", "p").stdout) and said.splitlines()[0].endswith("28 x 28, gray")


def test_the_same_seed_makes_the_same_project() -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        run("init", "images", name, "--seed", seed)
    labels = [[one.label for one in records(f"{name}/train_lmdb")] for name in "abc"]
    assert labels[0] == labels[1] != labels[2]


def test_images_that_cannot_be_read(folder: Path) -> None:
    (folder / "images" / "dark" / "broken.png").write_text("no image")
    said = run("init", "images", "p", status=1).stderr
    assert "broken.png" in said and "With --skip-bad-records images that cannot be read are left out" in said
    assert not Path("p").exists() and not list(folder.glob(".p*"))
    assert ", 1 skipped" in run("init", "images", "p", "--skip-bad-records").stdout


def test_fine_tuning() -> None:
    """All layers but the last begin with the trained weights."""
    said = run("init", "images", "p", "--net", LENET, "--weights", WEIGHTS, "--scale", 0.00390625).stdout
    assert "28 x 28, gray" in said and 'layer "ip2" begins anew as "ip2_images"' in said
    trained = bicerin.Net(LENET, weights=WEIGHTS)
    solver = bicerin.Solver("p/solver.prototxt")
    for name, blobs in trained.params.items():
        if name != "ip2":
            assert all(np.array_equal(a.data, b.data) for a, b in zip(blobs, solver.net.params[name], strict=True))
    new = solver.net.params["ip2_images"]
    assert [blob.shape for blob in new] == [(3, 500), (3,)] and new[0].data.std() > 0
    rates = dict(zip(solver.net.params, zip(*[iter(solver.net.params_lr)] * 2, strict=True), strict=True))
    assert rates["ip2_images"] == (10, 20) and rates["ip1"] == (1, 2)
    solver.step(1)
    deployed = bicerin.Net("p/deploy.prototxt")
    assert deployed.blobs["prob"].shape == (1, 3) and Preprocessor.of_net(deployed).scale == 0.00390625


def test_fine_tuning_of_a_net_to_train(folder: Path) -> None:
    """Its data layer says how images are prepared; a mean image counts by its channels."""
    text = (ROOT / "examples" / "mnist" / "lenet_train_test.prototxt").read_text()
    mean = np.full((1, 1, 32, 32), 7, np.float32)
    bicerin_proto.write_binary(bicerin_proto.array_blob(mean), folder / "digits.binaryproto")
    transformed = 'scale: 0.00390625 crop_size: 28 force_gray: true mean_file: "digits.binaryproto"'
    (folder / "digits.prototxt").write_text(text.replace("scale: 0.00390625", transformed))
    result = run("init", "images", "p", "--net", "digits.prototxt", "-w", WEIGHTS)
    assert "does not say how images were prepared" not in result.stderr
    param = read_net(Path("p/deploy.prototxt")).message.layer[0].transform_param
    assert (list(param.mean_value), param.scale, param.mean_file) == ([7], 0.00390625, "")


def test_what_is_not_known_of_a_net_is_said() -> None:
    result = run("init", "images", "p", "--net", LENET, "-w", WEIGHTS)
    assert "does not say how images were prepared for it" in result.stderr
    assert Preprocessor.of_net(bicerin.Net("p/deploy.prototxt")).mean.shape == (1, 28, 28)  # type: ignore[union-attr]


def test_weights_that_leave_layers_empty(folder: Path) -> None:
    text = LENET.read_text()
    (folder / "other.prototxt").write_text(text.replace('name: "conv2"', 'name: "conv2b"'))
    refused = run("init", "images", "p", "--net", "other.prototxt", "-w", WEIGHTS, status=1)
    assert "has no weights for: conv2b" in refused.stderr and not Path("p").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("images", "images"), 1, "images exists already"),
        (("images/dark", "p"), 1, "no folders with images"),
        (("images", "p", "--net", LENET), 2, "--net and --weights are given together"),
        (("images", "p", "--net", LENET, "-w", WEIGHTS, "--size", "40"), 2, "NET says what it reads"),
        (("images", "p", "--mean", "3"), 2, "belong to --net"),
        (("images", "p", "--net", LENET, "-w", WEIGHTS, "--mean", "mean.binaryproto"), 2, "--mean takes numbers"),
        (("images", "p", "--size", "7"), 2, "the new net needs 8 x 8"),
        (("images", "p", "--net", LENET, "-w", LENET), 1, "lenet.prototxt"),
        (("images", "p", "--net", LENET, "-w", WEIGHTS, "--output", "none"), 1, 'no layer makes "none"'),
    ],
)
def test_what_cannot_be_made(arguments: tuple[object, ...], status: int, said: str) -> None:
    assert said in run("init", *arguments, status=status).stderr
    assert not Path("p").exists()


def test_one_class(folder: Path) -> None:
    for name in ("dark", "colour"):
        (folder / "images" / name).rename(folder / name)
    assert "images of one class, bright;" in run("init", "images", "p", status=1).stderr


def test_layers_between_the_scores_and_what_learns_them() -> None:
    """As in SqueezeNet; and other outputs are left out with all that only they need."""
    document = bicerin_proto.read_net(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }'
        'layer { name: "a" type: "Convolution" bottom: "x" top: "a"'
        " convolution_param { num_output: 4 kernel_size: 1 } }"
        'layer { name: "side" type: "InnerProduct" bottom: "a" top: "side" inner_product_param { num_output: 9 } }'
        'layer { name: "b" type: "Convolution" bottom: "a" top: "b" param { lr_mult: 3 }'
        " convolution_param { num_output: 9 kernel_size: 1 bias_term: false weight_filler { type: 'xavier' } } }"
        'layer { name: "r" type: "ReLU" bottom: "b" top: "b" }'
        'layer { name: "pool" type: "Pooling" bottom: "b" top: "pool" pooling_param { global_pooling: true } }'
        'layer { name: "prob" type: "Softmax" bottom: "pool" top: "prob" }'
    )
    before = str(document.message)
    found = fine_tuned_net(document, "x", 2, "new", "prob")
    assert str(document.message) == before
    assert [layer.name for layer in found.net.layer] == ["a", "b_new", "r", "pool"]
    assert (found.scores, found.replaced, found.layer) == ("pool", "b", "b_new")
    new = found.net.layer[1]
    assert (new.convolution_param.num_output, new.convolution_param.weight_filler.type) == (2, "xavier")
    assert [spec.lr_mult for spec in new.param] == [30]
    with pytest.raises(bicerin.NetError, match=r"which blob has the scores.*side, prob"):
        fine_tuned_net(document, "x", 2, "new")
