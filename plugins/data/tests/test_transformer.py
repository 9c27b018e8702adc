"""transform_param against its definition, written as a loop over pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bicerin_proto
from bicerin.errors import DataError
from bicerin.layer import Phase
from bicerin_data.transformer import Transformer


def transformer(dtype=np.float32, phase=Phase.TEST, folder=None, **options):
    param = bicerin_proto.TransformationParameter(**options)
    return Transformer(param, phase, np.dtype(dtype), lambda name: folder / name)


def write_mean(path, mean):
    bicerin_proto.write_binary(bicerin_proto.array_blob(mean[None]), path)


def reference(image, top, left, mirror, crop, mean, scale, dtype):
    """One image; `mean` has the image's shape."""
    channels, height, width = image.shape
    height, width = (crop, crop) if crop else (height, width)
    out = np.empty((channels, height, width), dtype)
    for c in range(channels):
        for h in range(height):
            for w in range(width):
                value = dtype(image[c, top + h, left + w]) - dtype(mean[c, top + h, left + w])
                out[c, h, width - 1 - w if mirror else w] = value * dtype(scale)
    return out


@settings(max_examples=40, deadline=None)
@given(
    crop=st.sampled_from([0, 1, 3, 4]),
    mirror=st.booleans(),
    mean=st.sampled_from(["none", "one", "channels", "file"]),
    scale=st.sampled_from([1.0, 0.00390625, 0.017]),
    train=st.booleans(),
    floats=st.booleans(),
    double=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_definition(tmp_path_factory, crop, mirror, mean, scale, train, floats, double, seed):
    random = np.random.default_rng(seed)
    dtype = np.float64 if double else np.float32
    shape = (3, 4, 5)
    images = random.integers(0, 256, (6, *shape)).astype(np.float32 if floats else np.uint8)
    options = {"crop_size": crop, "mirror": mirror, "scale": scale}
    folder = tmp_path_factory.mktemp("mean")
    means = np.zeros(shape, np.float32)
    if mean == "file":
        means = random.uniform(0, 255, shape).astype(np.float32)
        write_mean(folder / "mean", means)
        options["mean_file"] = "mean"
    elif mean != "none":
        values = [104.5] if mean == "one" else [104.0, 117.25, 123.0]
        options["mean_value"] = values
        means += np.array(values, np.float32)[:, None, None]
    transform = transformer(dtype, Phase.TRAIN if train else Phase.TEST, folder, **options)
    out = np.empty((6, *transform.output_shape(shape)), dtype)
    transform(list(images), random, out)
    height, width = (4 - crop, 5 - crop) if crop else (0, 0)
    rows = range(height + 1) if crop and train else [height // 2]
    columns = range(width + 1) if crop and train else [width // 2]
    for image, found in zip(images, out, strict=True):
        possible = [
            reference(image, top, left, flip, crop, means, np.float32(scale), dtype)
            for top in rows
            for left in columns
            for flip in ((False, True) if mirror else (False,))
        ]
        assert any(np.array_equal(found, expected) for expected in possible)


def test_every_place_and_flip_is_drawn():
    transform = transformer(phase=Phase.TRAIN, crop_size=2, mirror=True)
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    out = np.empty((2000, 1, 2, 2), np.float32)
    transform([image] * 2000, np.random.default_rng(0), out)
    found, counts = np.unique(out.reshape(2000, 4), axis=0, return_counts=True)
    assert len(found) == 2 * 3 * 2
    assert counts.min() > 2000 / 12 * 0.7


def test_batch_of_none():
    transformer(crop_size=2)([], np.random.default_rng(0), np.empty((0, 3, 2, 2), np.float32))


def test_images_are_not_changed():
    image = np.full((3, 4, 4), 9, np.uint8)
    transformer(mirror=True, scale=2, mean_value=[1])([image], np.random.default_rng(0), np.empty((1, 3, 4, 4), "f4"))
    assert (image == 9).all()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mean_file": "mean", "mean_value": [1]}, "Cannot specify mean_file and mean_value at the same time"),
        ({"force_color": True, "force_gray": True}, "cannot set both force_color and force_gray"),
        ({"mean_file": "missing"}, "mean_file .*missing: no such file"),
        ({"mean_file": "garbage"}, "mean_file .*garbage: not a binary BlobProto"),
        ({"mean_file": "short"}, r"mean_file .*short: a blob of shape \(1, 2\) holds 1 numbers, expected 2"),
        ({"mean_file": "two"}, r"one image \(1, C, H, W\) is expected, not the shape \(2, 3, 4, 4\)"),
    ],
)
def test_contradictions(options, reason, tmp_path):
    (tmp_path / "garbage").write_bytes(b"\xff\xff\xff")
    short = bicerin_proto.BlobProto(data=[1], shape={"dim": [1, 2]})
    (tmp_path / "short").write_bytes(short.SerializeToString())
    bicerin_proto.write_binary(bicerin_proto.array_blob(np.zeros((2, 3, 4, 4), np.float32)), tmp_path / "two")
    with pytest.raises(DataError, match=reason):
        transformer(folder=tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"crop_size": 5}, "an image of 4 x 6 is smaller than crop_size 5"),
        ({"mean_value": [1, 2]}, "Specify either 1 mean_value or as many as channels: 3; there are 2"),
        ({"mean_file": "mean"}, r"has the shape \(3, 4, 5\), the image \(3, 4, 6\)"),
    ],
)
def test_images_that_do_not_fit(options, reason, tmp_path):
    write_mean(tmp_path / "mean", np.zeros((3, 4, 5), np.float32))
    with pytest.raises(DataError, match=reason):
        transformer(folder=tmp_path, **options).output_shape((3, 4, 6))


def test_legacy_mean_of_four_axes(tmp_path):
    blob = bicerin_proto.BlobProto(num=1, channels=1, height=2, width=2, data=[1, 2, 3, 4])
    (tmp_path / "mean").write_bytes(blob.SerializeToString())
    out = np.empty((1, 1, 2, 2), np.float32)
    transformer(folder=tmp_path, mean_file="mean")([np.full((1, 2, 2), 10, np.uint8)], np.random.default_rng(0), out)
    assert out.reshape(-1).tolist() == [9, 8, 7, 6]
