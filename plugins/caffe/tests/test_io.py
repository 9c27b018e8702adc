"""`caffe.io`: arrays, messages, images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.io

import caffe
from caffe.proto import caffe_pb2

# Messages


def blob_of(numbers: np.ndarray, **fields: Any) -> Any:
    return caffe_pb2.BlobProto(data=numbers.ravel(), **fields)


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ((1, 1, 10, 10), dict(num=1, channels=1, height=10, width=10)),
        ((10, 10), dict(shape=dict(dim=[10, 10]))),
        ((1, 1, 10, 10), dict(num=1, channels=1, height=10, width=10, shape=dict(dim=[100]))),
    ],
)
def test_blobproto_to_array(shape: tuple[int, ...], fields: dict) -> None:
    array = caffe.io.blobproto_to_array(blob_of(np.arange(100.0), **fields))
    assert array.shape == shape and array.dtype == np.float64 and array.ravel()[99] == 99


def test_a_blobproto_without_a_shape_is_a_scalar_or_nothing() -> None:
    assert caffe.io.blobproto_to_array(blob_of(np.array([123.0]))) == 123
    with pytest.raises(ValueError, match="reshape"):
        caffe.io.blobproto_to_array(blob_of(np.zeros(100)))


def test_array_to_blobproto_and_its_diff() -> None:
    array, diff = np.arange(6.0).reshape(1, 2, 3), np.ones((1, 2, 3))
    blob = caffe.io.array_to_blobproto(array, diff)
    assert list(blob.shape.dim) == [1, 2, 3] and list(blob.data) == list(range(6)) and not blob.double_data
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob), array)
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob, return_diff=True), diff)
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob, True), diff)
    assert isinstance(blob, caffe_pb2.BlobProto)


def test_a_mean_file(tmp_path: Path) -> None:
    mean = np.random.default_rng(0).random((1, 3, 4, 5)).astype(np.float32)
    (tmp_path / "mean.binaryproto").write_bytes(caffe.io.array_to_blobproto(mean).SerializeToString())
    blob = caffe.io.caffe_pb2.BlobProto()
    blob.ParseFromString((tmp_path / "mean.binaryproto").read_bytes())
    np.testing.assert_array_equal(np.array(caffe.io.blobproto_to_array(blob))[0], mean[0])


def test_blobproto_vectors() -> None:
    arrays = [np.ones((2, 3)), np.zeros((1, 4))]
    text = caffe.io.arraylist_to_blobprotovector_str(arrays)
    assert isinstance(text, bytes)
    for found, wanted in zip(caffe.io.blobprotovector_str_to_arraylist(text), arrays, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
def test_datum_and_back(dtype: type) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    datum = caffe.io.array_to_datum(array, 7)
    assert (datum.channels, datum.height, datum.width, datum.label) == (2, 3, 4, 7)
    assert bool(datum.data) == (dtype == np.uint8)
    found = caffe.io.datum_to_array(datum)
    assert found.dtype == (np.uint8 if dtype == np.uint8 else np.float64) and (found == array).all()
    found += 1  # a copy, to write to


def test_a_datum_without_a_label_is_smaller() -> None:
    array = np.ones((10, 10, 3))
    with_label, without = caffe.io.array_to_datum(array, label=1), caffe.io.array_to_datum(array)
    assert len(with_label.SerializeToString()) > len(without.SerializeToString())
    assert not without.HasField("label")


def test_a_datum_has_three_axes() -> None:
    with pytest.raises(ValueError, match="Incorrect array shape"):
        caffe.io.array_to_datum(np.zeros((3, 4)))


def test_a_datums_label_is_a_whole_number() -> None:
    assert caffe.io.array_to_datum(np.zeros((1, 2, 3)), np.int64(7)).label == 7
    for label in (np.float32(0.5), 0.5, "3"):
        with pytest.raises(TypeError, match="The label of a datum is a whole number, not "):
            caffe.io.array_to_datum(np.zeros((1, 2, 3)), label)


# Transformer


@pytest.fixture
def transformer() -> caffe.io.Transformer:
    return caffe.io.Transformer({"data": (1, 3, 4, 5)})


def test_an_image_with_its_channels_first_is_refused(transformer: caffe.io.Transformer) -> None:
    transformer.set_channel_swap("data", (2, 1, 0))
    with pytest.raises(ValueError, match=r"data: an image of shape \(3, 4, 5\) has its channels first"):
        transformer.preprocess("data", np.ones((3, 4, 5)))
    transformer.set_transpose("data", (2, 0, 1))
    assert transformer.preprocess("data", np.ones((7, 9, 3))).shape == (3, 4, 5)


def test_preprocess_does_all_steps_in_pycaffes_order(transformer: Any) -> None:
    image = np.random.default_rng(1).random((4, 5, 3)).astype(np.float32)
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 1, 0))
    transformer.set_raw_scale("data", 255)
    transformer.set_mean("data", np.array([104, 117, 123]))
    transformer.set_input_scale("data", 0.5)
    before = image.copy()
    found = transformer.preprocess("data", image)
    expected = (image.transpose(2, 0, 1)[::-1] * 255 - np.array([104, 117, 123])[:, None, None]) * 0.5
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_allclose(transformer.deprocess("data", found[None]), image, rtol=1e-4, atol=1e-4)


def test_deprocess_undoes_a_swap_that_is_not_its_own_inverse(transformer: Any) -> None:
    image = np.random.default_rng(2).random((4, 5, 3)).astype(np.float32)
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (1, 2, 0))
    np.testing.assert_array_equal(transformer.deprocess("data", transformer.preprocess("data", image)), image)


def test_an_image_is_resized_to_the_input(transformer: Any) -> None:
    transformer.set_transpose("data", (2, 0, 1))
    assert transformer.preprocess("data", np.random.default_rng(3).random((8, 9, 3))).shape == (3, 4, 5)


@pytest.mark.parametrize(("mean", "shape"), [(np.ones(3), (3, 1, 1)), (np.ones((3, 4, 5)), (3, 4, 5))])
def test_means(mean: np.ndarray, shape: tuple[int, ...], transformer: Any) -> None:
    transformer.set_mean("data", mean)
    assert transformer.mean["data"].shape == shape


def test_a_mean_image_of_another_size_is_resized(transformer: Any) -> None:
    rows = np.linspace(0, 90, 10)[np.newaxis, :, np.newaxis] * np.ones((3, 1, 7))
    transformer.set_mean("data", rows * [[[1]], [[2]], [[3]]])
    mean = transformer.mean["data"]
    assert mean.shape == (3, 4, 5)
    np.testing.assert_allclose(mean[:, :, 0] / [[1], [2], [3]], np.tile([7.5, 32.5, 57.5, 82.5], (3, 1)), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda t: t.set_mean("data", np.ones(2)), ValueError, "Mean channels incompatible with input."),
        (lambda t: t.set_mean("data", np.ones((2, 5, 5))), ValueError, "Mean channels incompatible with input."),
        (lambda t: t.set_mean("data", np.ones((1, 3, 4, 5))), ValueError, "Mean shape invalid"),
        (lambda t: t.set_transpose("data", (1, 0)), Exception, "Transpose order needs"),
        (lambda t: t.set_channel_swap("data", (1, 0)), Exception, "Channel swap needs"),
        (lambda t: t.set_raw_scale("nope", 1), Exception, "nope is not one of the net inputs"),
        (lambda t: t.preprocess("nope", np.ones((4, 5, 3))), Exception, "nope is not one of the net inputs"),
    ],
)
def test_settings_that_do_not_fit(call: Any, error: type, words: str, transformer: Any) -> None:
    with pytest.raises(error, match=words):
        call(transformer)


# Images


def test_load_image(tmp_path: Path) -> None:
    color = np.random.default_rng(4).integers(0, 256, (6, 7, 3), np.uint8)
    skimage.io.imsave(tmp_path / "color.png", color, check_contrast=False)
    skimage.io.imsave(tmp_path / "gray.png", color[:, :, 0], check_contrast=False)
    skimage.io.imsave(tmp_path / "alpha.png", np.dstack([color, color[:, :, :1]]), check_contrast=False)
    found = caffe.io.load_image(str(tmp_path / "color.png"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, color / 255, rtol=1e-6)
    np.testing.assert_allclose(caffe.io.load_image(str(tmp_path / "alpha.png")), color / 255, rtol=1e-6)
    gray = color[:, :, :1] / 255
    np.testing.assert_allclose(caffe.io.load_image(str(tmp_path / "gray.png")), np.tile(gray, 3), rtol=1e-6)
    np.testing.assert_allclose(caffe.io.load_image(str(tmp_path / "gray.png"), color=False), gray, rtol=1e-6)
    assert caffe.io.load_image(str(tmp_path / "color.png"), False).shape == (6, 7, 1)
    with open(tmp_path / "color.png", "rb") as file:
        assert caffe.io.load_image(file).shape == (6, 7, 3)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_resize_image_interpolates(channels: int) -> None:
    ramp = np.tile(np.arange(8, dtype=np.float32)[:, None, None], (1, 8, channels))
    found = caffe.io.resize_image(ramp, (4, 8))
    assert found.shape == (4, 8, channels) and found.dtype == np.float32
    # skimage samples at the centers of the pixels, SciPy from the first to the last.
    expected = [0.5, 2.5, 4.5, 6.5] if channels in (1, 3) else [0, 7 / 3, 14 / 3, 7]
    np.testing.assert_allclose(found[:, 4, 0], expected, atol=1e-5)


def test_an_image_of_one_color_stays_so() -> None:
    found = caffe.io.resize_image(np.full((4, 4, 3), 5.0), (2, 6))
    assert found.shape == (2, 6, 3) and (found == 5).all()


def test_interpolation_order_zero_takes_the_nearest() -> None:
    image = np.random.default_rng(5).random((4, 4, 3))
    found = caffe.io.resize_image(image, (8, 8), interp_order=0)
    np.testing.assert_allclose(found[::2, ::2], image, rtol=1e-6)


def test_oversample_takes_corners_center_and_mirrors() -> None:
    image = np.arange(6 * 8 * 3, dtype=np.float32).reshape(6, 8, 3)
    crops = caffe.io.oversample([image, image + 1], (4, 4))
    assert crops.shape == (20, 4, 4, 3) and crops.dtype == np.float32
    for crop, (top, left) in zip(crops, [(0, 0), (0, 4), (2, 0), (2, 4), (1, 2)], strict=False):
        np.testing.assert_array_equal(crop, image[top : top + 4, left : left + 4])
    np.testing.assert_array_equal(crops[5:10], crops[:5, :, ::-1])
    np.testing.assert_array_equal(crops[10:], crops[:10] + 1)


def test_flow_is_mirrored_with_its_direction(transformer: Any) -> None:
    image = np.random.default_rng(6).random((2, 3, 3)).astype(np.float32)
    before = image.copy()
    np.testing.assert_array_equal(caffe.io.flip_image(image), image[:, ::-1])
    flow = caffe.io.flip_image(image, 1, True)
    np.testing.assert_array_equal(flow[:, :, 0], 1 - image[:, ::-1, 0])
    np.testing.assert_array_equal(flow[:, :, 1:], image[:, ::-1, 1:])
    upside_down = caffe.io.flip_image(image, 0, True)
    np.testing.assert_array_equal(upside_down[:, :, 1], 1 - image[::-1, :, 1])
    np.testing.assert_array_equal(upside_down[:, :, 0], image[::-1, :, 0])
    np.testing.assert_array_equal(image, before)
    transformer.set_is_flow("data", True)
    assert transformer.is_flow == {"data": True}
    with pytest.raises(Exception, match="nope is not one of the net inputs"):
        transformer.set_is_flow("nope", True)


def test_skimage_is_imported_when_an_image_needs_it() -> None:
    import subprocess
    import sys

    program = "import sys, caffe; assert 'skimage' not in sys.modules; caffe.io.skimage.transform.resize"
    subprocess.run([sys.executable, "-c", program], check=True)
