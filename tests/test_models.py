"""Trained models give the numbers that Caffe 1.0 gives: MTCNN's first two nets (Zhang et al., 2016) and LeNet."""

from pathlib import Path

import numpy as np
import pytest

import bicerin
from bicerin.testing.recorded import assert_close

MODELS = Path(__file__).parent / "recorded" / "models"


@pytest.mark.parametrize("name", ["det1", "det2", "lenet"])
def test_every_blob_equals_caffes(name: str) -> None:
    net = bicerin.Net(MODELS / f"{name}.prototxt", phase="TEST", weights=MODELS / f"{name}.caffemodel")
    with np.load(MODELS / f"{name}.npz") as recorded:
        net.forward(**{key.removeprefix("in:"): recorded[key] for key in recorded.files if key.startswith("in:")})
        names = [key.removeprefix("out:") for key in recorded.files if key.startswith("out:")]
        assert set(names) == set(net.blobs)
        for blob in names:
            step = int(recorded[f"step:{blob}"]) if f"step:{blob}" in recorded.files else 1
            values = net.blobs[blob].data.ravel()[::step]
            assert_close(values, recorded[f"out:{blob}"].ravel(), 1e-4, f"{name}: {blob}")


@pytest.mark.parametrize("name", ["det1", "det2", "lenet"])
def test_saved_weights_are_what_was_loaded(name: str, tmp_path: Path) -> None:
    net = bicerin.Net(MODELS / f"{name}.prototxt", weights=MODELS / f"{name}.caffemodel")
    for suffix in (".caffemodel", ".caffemodel.h5"):
        path = net.save(tmp_path / (name + suffix))
        twin = bicerin.Net(MODELS / f"{name}.prototxt", weights=path)
        for layer, blobs in net.params.items():
            for mine, theirs in zip(blobs, twin.params[layer], strict=True):
                assert np.array_equal(mine.data, theirs.data)


def test_a_fully_convolutional_net_takes_images_of_any_size() -> None:
    net = bicerin.Net(MODELS / "det1.prototxt", weights=MODELS / "det1.caffemodel")
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 60, 80)).astype(np.float32)
    whole = net.forward(data=image)["prob1"]
    for row, column in ((0, 0), (3, 7), (24, 33)):
        patch = image[:, :, 2 * row : 2 * row + 12, 2 * column : 2 * column + 12]
        part = net.forward(data=patch)["prob1"]
        assert np.allclose(part[0, :, 0, 0], whole[0, :, row, column], atol=1e-5)
