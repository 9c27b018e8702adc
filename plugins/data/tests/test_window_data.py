"""WindowData: the window file, sampling, warping with context, the mean, bad input."""

import json

import cv2
import numpy as np
import pytest

from bicerin.errors import BlobCountError, DataError
from bicerin_data.window_crop import warp_window

# Label, overlap, x1, y1, x2, y2: of the classes 3 and 5, background, and one between the thresholds.
WINDOWS = ["3 0.9 2 1 7 8", "5 0.5 0 0 3 3", "1 0.2 4 4 9 9", "4 0.05 1 1 8 8", "2 0.45 1 1 2 2"]


def window_data(options="", transform="crop_size: 6", tops='top: "data" top: "label"'):
    return (
        f'name: "w" type: "WindowData" {tops} window_data_param {{ source: "windows.txt" batch_size: 8 '
        f"fg_threshold: 0.5 bg_threshold: 0.3 {options} }} transform_param {{ {transform} }}"
    )


@pytest.fixture
def picture(tmp_path, random):
    """A picture of 14 x 12 pixels with windows; returns its pixels (3, H, W)."""
    image = random.integers(0, 256, (14, 12, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    write(tmp_path, WINDOWS)
    return image.transpose(2, 0, 1)


def write(folder, windows, name="a.png", channels=3, index=0):
    lines = [f"# {index}", name, str(channels), "14", "12", str(len(windows)), *windows]
    (folder / "windows.txt").write_text("\n".join(lines) + "\n")


def cut(image, x1, y1, x2, y2, size=6):
    part = image[:, y1 : y2 + 1, x1 : x2 + 1].transpose(1, 2, 0)
    return cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)


def corners(line):
    return [int(word) for word in line.split()[2:]]


@pytest.mark.parametrize("cache", ["true", "false"])
@pytest.mark.parametrize("fraction", [0, 0.25, 0.3, 1])
def test_background_comes_first_then_the_fraction_of_foreground(fraction, cache, picture, make_layer, batches):
    run = make_layer(window_data(f"fg_fraction: {fraction} cache_images: {cache}"))
    assert [blob.shape for blob in run.top] == [(8, 3, 6, 6), (8,)]
    foreground = int(8 * fraction)
    possible = {0: [cut(picture, *corners(line)) for line in WINDOWS[2:4]]}
    possible |= {int(line[0]): [cut(picture, *corners(line))] for line in WINDOWS[:2]}
    for data, label in batches(run, 4):
        assert (label[: 8 - foreground] == 0).all()
        assert np.isin(label[8 - foreground :], [3, 5]).all()
        for pixels, kind in zip(data, label, strict=True):
            assert any(np.array_equal(pixels, expected) for expected in possible[int(kind)])


def test_mirroring_mean_and_scale(picture, make_layer, batches):
    text = window_data(
        "scale: 0.5 fg_fraction: 1", "crop_size: 6 mirror: true mean_value: 10 mean_value: 20 mean_value: 30"
    )
    means = np.array([10, 20, 30], "f4")[:, None, None]
    seen = set()
    for data, label in batches(make_layer(text), 4):
        for pixels, kind in zip(data, label, strict=True):
            (line,) = (line for line in WINDOWS[:2] if line[0] == str(int(kind)))
            plain = (cut(picture, *corners(line)).astype("f4") - means) * np.float32(0.5)
            flipped = (cut(picture, *corners(line))[:, :, ::-1].astype("f4") - means) * np.float32(0.5)
            seen.add(np.array_equal(pixels, flipped))
            assert np.array_equal(pixels, plain) or np.array_equal(pixels, flipped)
    assert seen == {True, False}


def test_transform_param_does_not_scale(picture, make_layer, batches, caplog):
    first = batches(make_layer(window_data(transform="crop_size: 6 scale: 0.5")))[0][0]
    assert np.array_equal(first, batches(make_layer(window_data()))[0][0])
    assert "not with transform_param.scale" in caplog.text


def test_mean_file_is_cut_at_its_centre(picture, tmp_path, make_layer, batches):
    import bicerin_proto

    mean = np.arange(3 * 10 * 10, dtype="f4").reshape(1, 3, 10, 10)
    bicerin_proto.write_binary(bicerin_proto.array_blob(mean), tmp_path / "mean")
    plain = batches(make_layer(window_data()))[0][0]
    found = batches(make_layer(window_data(transform='crop_size: 6 mean_file: "mean"')))[0][0]
    assert np.array_equal(found, plain - mean[:, :, 2:8, 2:8])


F4 = np.dtype("f4")


def test_context_within_the_image():
    """20 x 20 with 2 of 10 pixels of context each side: scaled by 10 / 6, from -6.67 to 26.67 around the centre."""
    image = np.random.default_rng(0).integers(0, 256, (3, 60, 60), dtype=np.uint8)
    patch, top, left = warp_window(image, (20, 20, 39, 39), 10, 2, False, False, F4)
    assert (top, left) == (0, 0)
    assert np.array_equal(patch, cut(image, 13, 13, 47, 47, 10))


@pytest.mark.parametrize("mirror", [False, True])
def test_context_beyond_the_image(mirror):
    """A window of 4 x 8 at the left border, with 2 of 8 pixels of context: 8 x 16 expanded, 2 columns outside."""
    image = np.full((3, 30, 30), 9, np.uint8)
    patch, top, left = warp_window(image, (0, 10, 3, 17), 8, 2, False, mirror, F4)
    # x from -2 to 6, 9 wide; scale 8 / 9: 7 columns inside make 6, the 2 outside make 2.
    assert patch.shape == (3, 8, 6)
    assert (top, left) == (0, 0 if mirror else 2)


def test_square():
    image = np.random.default_rng(0).integers(0, 256, (3, 40, 40), dtype=np.uint8)
    patch, top, left = warp_window(image, (10, 10, 13, 21), 8, 0, True, False, F4)
    assert (top, left) == (0, 0)
    assert np.array_equal(patch, cut(image, 6, 10, 18, 22, 8))


def test_the_outside_is_zero_even_with_a_mean(picture, tmp_path, make_layer, batches):
    write(tmp_path, ["3 0.9 0 0 3 3", "0 0 0 0 3 3"])
    text = window_data("context_pad: 2 scale: 2", "crop_size: 8 mean_value: 1000")
    data = batches(make_layer(text))[0][0]
    assert (data[:, :, :2] == 0).all()
    assert (data[:, :, 2:, 2:] < 0).all()


@pytest.mark.parametrize("consumed", [0, 3])
def test_resuming_is_exact(consumed, picture, make_layer, batches):
    text = window_data("context_pad: 1", "crop_size: 6 mirror: true")
    whole = make_layer(text, seed=1)
    batches(whole, consumed)
    state = json.loads(json.dumps(whole.layer.state()))
    rest = batches(whole, 3)
    resumed = make_layer(text, seed=2)
    batches(resumed, 2)
    resumed.layer.restore_state(state)
    for expected, found in zip(rest, batches(resumed, 3), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "Failed to open window file .*: no such file"),
        ("", "is empty"),
        ("a.png\n", 'the image at "a.png"'),
        ("$ 0\na.png\n3\n14\n12\n0\n", '"# image_index" is expected, not "\\$ 0"'),
        ("# 0\na.png\n3\n14\n12\n2\n1 0.9 0 0 1 1\n", "2 windows of 6 numbers are expected, not 1 of 6"),
        ("# 0\na.png\n3\n14\n12\n1\n1 0.9 0 0 1\n", "1 windows of 6 numbers are expected, not 1 of 5"),
        ("# 0\na.png\n3\n14\n12\n1\n1 x 0 0 1 1\n", "could not convert string 'x'"),
        ("# 0\na.png\n3\n14\n12\nmany\n", "invalid literal"),
        ("# 4\na.png\n3\n14\n12\n1\n1 0.9 0 0 1 1\n", "image_index 4, but there are 1 images"),
        ("# 0\na.png\n3\n14\n12\n1\n0 0.9 0 0 1 1\n", "a window above fg_threshold has a class of 0 or less"),
        ("# 0\na.png\n3\n14\n12\n1\n1 0.9 0 0 1 1\n", "no window is background, but each batch needs 6"),
        ("# 0\na.png\n3\n14\n12\n1\n1 0.1 0 0 1 1\n", "no window is foreground, but each batch needs 2"),
        (f"# 0\na.png\n1\n14\n12\n2\n{WINDOWS[0]}\n{WINDOWS[3]}\n", "images are read in color, but it says 1 channels"),
    ],
)
def test_bad_window_files(content, reason, picture, tmp_path, make_layer):
    (tmp_path / "windows.txt").unlink()
    if content is not None:
        (tmp_path / "windows.txt").write_text(content)
    with pytest.raises(DataError, match=reason):
        make_layer(window_data())


@pytest.mark.parametrize(("fraction", "windows", "label"), [(1, WINDOWS[:1], 3), (0, WINDOWS[3:4], 0)])
def test_a_kind_that_no_batch_needs_may_be_missing(fraction, windows, label, picture, tmp_path, make_layer, batches):
    write(tmp_path, windows)
    ((data, labels),) = batches(make_layer(window_data(f"fg_fraction: {fraction}")), 1)
    assert (labels == label).all()
    assert (data == cut(picture, *corners(windows[0]))).all()


@pytest.mark.parametrize(
    ("options", "transform", "reason"),
    [
        ("", "", "must give a crop_size greater than 0"),
        ("context_pad: 3", "crop_size: 6", "crop_size 6 leaves nothing between two paddings of 3"),
        ("", "crop_size: 6 mean_value: 1 mean_value: 2", "as many as channels: 3; there are 2"),
    ],
)
def test_parameters(options, transform, reason, picture, make_layer):
    with pytest.raises(DataError, match=reason):
        make_layer(window_data(options, transform))


def test_a_bad_image_names_its_file(picture, tmp_path, make_layer):
    run = make_layer(window_data())
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r'window file windows\.txt, image "a\.png": Could not load'):
        run.forward()


def test_bad_windows_are_replaced_if_asked_for(picture, tmp_path, make_layer, batches):
    write(tmp_path, [*WINDOWS, "7 0.9 50 50 60 60"])
    run = make_layer(window_data("fg_fraction: 1"), skip_bad_records=True)
    assert np.isin([label for _, label in batches(run, 5)], [3, 5]).all()
    assert run.layer.bad_records > 0
    with pytest.raises(DataError, match=r"the window \(50, 50, 60, 60\) is not inside the image of 12 x 14"):
        batches(make_layer(window_data("fg_fraction: 1")), 10)


def test_counts(picture, make_layer):
    with pytest.raises(BlobCountError, match="WindowData Layer produces 2 top blob"):
        make_layer(window_data(tops='top: "data"'))
