"""Images made a net's input: as a data layer makes them, and what is refused."""

import cv2
import numpy as np
import pytest

import bicerin
import bicerin_proto
from bicerin.errors import DataError, MissingDataError, NetError
from bicerin_data import Preprocessor
from bicerin_data.preprocessor import transform_param


@pytest.fixture
def picture(tmp_path, random):
    """A file and its pixels (H, W, 3), red first."""
    pixels = random.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "picture.png"), pixels[:, :, ::-1])
    (tmp_path / "list.txt").write_text("picture.png 0\n")
    return tmp_path / "picture.png", pixels


def write_mean(path, array):
    bicerin_proto.write_binary(bicerin_proto.array_blob(array[None].astype(np.float32)), path)


@pytest.mark.parametrize(
    ("size", "transform"),
    [
        ((9, 11), ""),
        ((9, 11), "scale: 0.5 mean_value: 100"),
        ((8, 6), "mean_value: 1 mean_value: 2 mean_value: 3 mirror: false"),
        ((8, 8), "scale: 0.25 crop_size: 5"),
        ((8, 6), 'mean_file: "mean.binaryproto"'),
        ((8, 8), 'scale: 2 crop_size: 5 mean_file: "mean.binaryproto"'),
    ],
)
def test_a_file_becomes_what_a_data_layer_makes_of_it(size, transform, picture, make_layer, batches, tmp_path, random):
    write_mean(tmp_path / "mean.binaryproto", random.uniform(0, 255, (3, *size)))
    run = make_layer(
        'name: "i" type: "ImageData" top: "data" image_data_param { source: "list.txt" batch_size: 1 '
        f"new_height: {size[0]} new_width: {size[1]} }} transform_param {{ {transform} }}"
    )
    ((expected,),) = batches(run)
    prepare = Preprocessor.from_transform_param(
        run.layer.param.transform_param, expected.shape[1:], tmp_path, resize=size
    )
    made = prepare(picture[0])
    assert made.dtype == np.float32
    assert np.array_equal(made, expected)


def test_a_mean_image_says_the_size(picture, tmp_path):
    mean = np.full((3, 8, 7), 9.0)
    write_mean(tmp_path / "mean.binaryproto", mean)
    prepare = Preprocessor((3, 5, 5), mean=tmp_path / "mean.binaryproto")
    assert prepare.resize == (8, 7)
    assert np.array_equal(prepare(picture[0]), Preprocessor((3, 5, 5), resize=(8, 7), mean=mean)(picture[0]))
    assert np.array_equal(prepare(picture[0]), Preprocessor((3, 5, 5), resize=(8, 7), mean=9)(picture[0]))


def test_a_mean_image_of_the_crop(picture):
    mean = np.arange(75.0).reshape(3, 5, 5)
    plain, less = (Preprocessor((3, 5, 5), resize=(8, 7), mean=one) for one in (None, mean))
    assert np.allclose(plain(picture[0]) - less(picture[0]), mean)


def test_arrays_and_files_are_the_same_images(picture):
    path, pixels = picture
    prepare = Preprocessor((3, 6, 6), mean=[1, 2, 3])
    expected = prepare(path)
    assert np.array_equal(prepare(pixels), expected)
    assert np.array_equal(prepare(pixels[:, :, ::-1], order="BGR"), expected)
    assert np.array_equal(prepare([str(path), pixels]), np.concatenate([expected, expected]))
    assert np.array_equal(prepare(np.stack([pixels] * 2)), np.concatenate([expected, expected]))
    red_first = Preprocessor((3, 6, 6), mean=[3, 2, 1], channel_order="RGB")
    for one in (path, pixels):
        assert np.array_equal(red_first(one), expected[:, ::-1])


def test_gray(picture, random):
    path, pixels = picture
    prepare = Preprocessor((1, 9, 11))
    assert np.abs(prepare(path) - prepare(pixels)).max() <= 1
    assert not np.array_equal(prepare(pixels), prepare(pixels, order="BGR"))
    gray = random.integers(0, 256, (9, 11), dtype=np.uint8)
    assert np.array_equal(prepare(gray)[0, 0], gray)
    assert np.array_equal(prepare(gray[:, :, None])[0, 0], gray)
    assert np.array_equal(Preprocessor((3, 9, 11))(gray)[0], np.stack([gray] * 3))


def test_the_shorter_side(picture, random):
    wide = random.integers(0, 256, (10, 20, 3), dtype=np.uint8)
    made = Preprocessor((3, 4, 4), resize=5)(wide)
    assert np.array_equal(made, Preprocessor((3, 4, 4), resize=(5, 10))(wide))
    assert np.array_equal(Preprocessor((3, 4, 4), resize=10)(wide)[0, ::-1].transpose(1, 2, 0), wide[3:7, 8:12])


def test_of_a_net(tmp_path):
    net = bicerin.Net(
        'layer { name: "in" type: "Input" top: "x" top: "y" transform_param { scale: 0.5 mean_value: 7 }'
        " input_param { shape { dim: 4 dim: 1 dim: 3 dim: 2 } shape { dim: 4 dim: 2 } } }"
    )
    prepare = Preprocessor.of_net(net)
    assert (prepare.shape, prepare.scale, prepare.mean.tolist()) == ((1, 3, 2), 0.5, [7])
    assert (prepare(np.full((3, 2), 9, np.uint8)) == 1).all()
    assert repr(prepare) == "Preprocessor((1, 3, 2), resize=3x2, mean=[7.0], scale=0.5, channel_order='BGR')"
    assert Preprocessor.of_net(net, scale=1).scale == 1


def test_the_layer_of_phase_test_is_asked(tmp_path):
    document = bicerin_proto.read_net(
        'layer { name: "a" type: "Data" top: "x" include { phase: TRAIN } transform_param { scale: 1 crop_size: 3 } }'
        'layer { name: "b" type: "Data" top: "x" include { phase: TEST } transform_param { scale: 2 } }'
    )
    assert transform_param(document).scale == 2
    assert transform_param(bicerin_proto.read_net('layer { name: "a" type: "Data" top: "x" }')) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shape": (2, 4, 4)}, "1 or 3 channels; the net reads (2, 4, 4)"),
        ({"shape": (3, 4)}, "(C, H, W)"),
        ({"resize": (3, 9)}, "at least the 4 x 4"),
        ({"resize": "big"}, "resize='big'"),
        ({"resize": (8, 8, 8)}, "height and a width"),
        ({"channel_order": "GBR"}, '"BGR" or "RGB"'),
        ({"mean": [1, 2]}, "shape (2,); the net reads (3, 4, 4): give one number, 3 for the channels"),
        ({"mean": np.zeros((3, 5, 5)), "resize": (6, 6)}, "the size that images are resized to"),
        ({"mean": np.zeros((1, 4, 4))}, "an image of 3 channel(s)"),
    ],
)
def test_what_does_not_go_together(options, said):
    shape = options.pop("shape", (3, 4, 4))
    with pytest.raises(NetError) as refused:
        Preprocessor(shape, **options)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4, 3), np.float32), "(image * 255).round().astype(np.uint8)"),
        (np.zeros((4, 4, 3), np.int64), "an image is of uint8, 0 to 255; got int64"),
        (np.zeros((3, 4, 5), np.uint8), "image.transpose(1, 2, 0)"),
        (np.zeros((5, 4, 4), np.uint8), "image[:, :, :3]"),
        (np.zeros((5, 0, 3), np.uint8), "(5, 0, 3)"),
        (np.zeros(5, np.uint8), "(H, W, 3), (H, W, 1) or (H, W); got (5,)"),
    ],
)
def test_arrays_that_are_no_images(image, said):
    with pytest.raises(DataError) as refused:
        Preprocessor((3, 4, 4))(image)
    assert said in str(refused.value)
    with pytest.raises(DataError):
        Preprocessor((3, 4, 4))([np.zeros((4, 4, 3), np.uint8), image])


def test_an_image_that_was_not_read():
    with pytest.raises(DataError, match="Was the image read"):
        Preprocessor((3, 4, 4))([None])


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text\.png"):
        Preprocessor((3, 4, 4))(tmp_path / "text.png")
    with pytest.raises(MissingDataError, match=r"none\.png"):
        Preprocessor((3, 4, 4))(tmp_path / "none.png")
    with pytest.raises(DataError, match='"RGB" or "BGR"'):
        Preprocessor((3, 4, 4))(np.zeros((4, 4, 3), np.uint8), order="rgb")


def test_transformations_that_are_not_done():
    param = bicerin_proto.TransformationParameter(crop_size=5)
    with pytest.raises(NetError, match="crop_size is 5, and the net reads images of 4 x 4"):
        Preprocessor.from_transform_param(param, (3, 4, 4))
