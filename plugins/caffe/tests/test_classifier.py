"""`caffe.Classifier` and `caffe.Detector`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.io

import caffe

pytestmark = pytest.mark.usefixtures("on_the_device")

# The mean of each channel: its "probabilities" say what the net was given.
MEANS = """
layer { type: "Input" name: "data" top: "data" input_param { shape { dim: 10 dim: 3 dim: 8 dim: 8 } } }
layer { type: "Pooling" name: "pool" bottom: "data" top: "pool" pooling_param { pool: AVE global_pooling: true } }
layer { type: "InnerProduct" name: "prob" bottom: "pool" top: "prob"
  inner_product_param { num_output: 3 weight_filler { type: "constant" } } }
"""


@pytest.fixture
def files(write: Any, tmp_path: Path) -> tuple[str, str]:
    path = write("means.prototxt", MEANS)
    net = caffe.Net(path, caffe.TEST)
    net.params["prob"][0].data[...] = np.eye(3)
    net.save(str(tmp_path / "means.caffemodel"))
    return path, str(tmp_path / "means.caffemodel")


def test_predict_with_all_settings(files: tuple[str, str]) -> None:
    mean = np.array([1.0, 2.0, 3.0])
    classifier = caffe.Classifier(
        *files, image_dims=(12, 12), mean=mean, input_scale=2, raw_scale=255, channel_swap=(2, 1, 0)
    )
    assert isinstance(classifier, caffe.Net)
    image = np.tile(np.array([0.2, 0.4, 0.6], np.float32), (12, 12, 1))
    expected = 2 * (255 * np.array([0.6, 0.4, 0.2]) - mean)
    for oversample in (True, False):
        found = classifier.predict([image], oversample=oversample)
        assert found.shape == (1, 3)
        np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_predict_of_several_images_is_a_row_each(files: tuple[str, str]) -> None:
    classifier = caffe.Classifier(*files)
    images = [np.random.default_rng(n).random((9, 11, 3)).astype(np.float32) for n in range(12)]
    found = classifier.predict(images, oversample=False)
    expected = [caffe.io.resize_image(image, (8, 8)).mean((0, 1)) for image in images]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert classifier.predict(images).shape == (12, 3)


def test_without_oversampling_the_center_counts(files: tuple[str, str]) -> None:
    image = np.zeros((12, 12, 3), np.float32)
    image[2:10, 2:10] = np.random.default_rng(0).random((8, 8, 3))
    found = caffe.Classifier(*files, image_dims=(12, 12)).predict([image], oversample=False)
    np.testing.assert_allclose(found[0], image[2:10, 2:10].mean((0, 1)), rtol=1e-5)


@pytest.fixture
def picture(tmp_path: Path) -> str:
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:50] = [50, 100, 200]
    skimage.io.imsave(tmp_path / "picture.png", image, check_contrast=False)
    return str(tmp_path / "picture.png")


def test_detect_windows(files: tuple[str, str], picture: str) -> None:
    detector = caffe.Detector(*files, raw_scale=255)
    windows = [np.array([10, 20, 30, 50]), np.array([0, 0, 8, 8])]
    found = detector.detect_windows([(picture, windows)])
    assert [one["filename"] for one in found] == [picture] * 2 and found[1]["window"] is windows[1]
    np.testing.assert_allclose(found[0]["prediction"], [50, 100, 200], rtol=1e-5)
    np.testing.assert_allclose(found[1]["prediction"], 0, atol=1e-5)


@pytest.mark.parametrize("swap", [None, (2, 1, 0)])
def test_context_outside_of_the_image_is_the_mean(files: tuple[str, str], swap: Any) -> None:
    mean = np.array([100.0, 50.0, 25.0])
    detector = caffe.Detector(*files, mean=mean, raw_scale=255, channel_swap=swap, context_pad=2)
    image = np.ones((20, 20, 3), np.float32)
    crop = detector.crop(image, np.array([0, 0, 10, 10]))
    assert crop.shape == (8, 8, 3) and (crop[-1, -1] == 1).all()
    prepared = detector.transformer.preprocess("data", crop)
    np.testing.assert_allclose(prepared[:, 0, 0], 0, atol=1e-4)


def test_without_context_a_crop_is_the_window(files: tuple[str, str]) -> None:
    image = np.random.default_rng(1).random((20, 20, 3))
    np.testing.assert_array_equal(caffe.Detector(*files).crop(image, np.array([2, 3, 9, 11])), image[2:9, 3:11])
