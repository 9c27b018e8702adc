"""What libjpeg-turbo's own interface decodes, beside OpenCV's decoder."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from bicerin.errors import DataError
from bicerin_data import jpeg
from bicerin_data.image import decode_image
from bicerin_data.recycled_memory import RecycledMemory

_SUBSAMPLINGS = {
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "440": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "411": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}
#: What this interface is left out for.
_LEFT_TO_OPENCV = {"440", "411"}


def picture(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    rough = random.integers(0, 256, (-(-height // 5), -(-width // 5), 3)).astype(np.uint8)
    smooth = cv2.resize(rough, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(smooth + random.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def encoded(image: np.ndarray, *options: int) -> bytes:
    return bytes(cv2.imencode(".jpg", image, options)[1].tobytes())


def with_orientation(file: bytes, orientation: int) -> bytes:
    """The file with an Exif segment that says how the camera was held."""
    tiff = b"II*\0" + struct.pack("<IHHHIIHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)[:-2]
    exif = b"Exif\0\0" + tiff
    return file[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + file[2:]


def by_opencv(file: bytes, color: bool | None) -> np.ndarray | None:
    image = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED if color is None else cv2.IMREAD_COLOR)
    return None if image is None else image if image.ndim == 3 else image[:, :, None]


def pixels(image: np.ndarray | None) -> np.ndarray | None:
    return None if image is None else image.transpose(1, 2, 0)


@pytest.mark.parametrize("color", [None, True])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("subsampling", _SUBSAMPLINGS)
def test_pixels_are_opencvs(subsampling: str, progressive: int, color: bool | None) -> None:
    random = np.random.default_rng(1)
    for _ in range(40):
        image = picture(random, *random.integers(1, 80, 2))
        file = encoded(
            image, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SUBSAMPLINGS[subsampling], cv2.IMWRITE_JPEG_PROGRESSIVE,
            progressive, cv2.IMWRITE_JPEG_QUALITY, int(random.integers(5, 101)), cv2.IMWRITE_JPEG_RST_INTERVAL, 2,
        )  # fmt: skip
        assert np.array_equal(pixels(decode_image(file, color)), by_opencv(file, color))
        assert (jpeg.decode_jpeg(file, turn=color is not None) is None) == (subsampling in _LEFT_TO_OPENCV)


@pytest.mark.parametrize("color", [None, True])
def test_damaged_files_give_what_opencv_makes_of_them(color: bool | None) -> None:
    random = np.random.default_rng(2)
    refused = shown = 0
    for turn in range(300):
        file = bytearray(encoded(picture(random, 40, 30)))
        for place in random.integers(2, len(file), 2):
            file[place] = random.integers(256)
        if turn % 3 == 0:
            file = file[: random.integers(3, len(file))]
        expected = by_opencv(bytes(file), color)
        if expected is None:
            with pytest.raises(DataError, match="Could not decode the image"):
                decode_image(bytes(file), color)
            refused += 1
        else:
            assert np.array_equal(pixels(decode_image(bytes(file), color)), expected)
            shown += 1
    assert refused > 20 and shown > 100


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_where_opencv_turns_them(orientation: int) -> None:
    file = with_orientation(encoded(picture(np.random.default_rng(3), 20, 30)), orientation)
    turned, as_stored = decode_image(file, True), decode_image(file, None)
    assert as_stored.shape == (3, 20, 30)
    assert turned.shape == ((3, 30, 20) if orientation > 4 else (3, 20, 30))
    assert np.array_equal(pixels(turned), by_opencv(file, True))
    assert np.array_equal(pixels(as_stored), by_opencv(file, None))


def test_gray_files_have_one_channel_unless_color_is_asked_for() -> None:
    file = encoded(picture(np.random.default_rng(4), 20, 30)[:, :, 0])
    assert decode_image(file).shape == (1, 20, 30)
    assert decode_image(file, True).shape == (3, 20, 30)
    assert jpeg.decode_jpeg(file, turn=False) is None


def test_without_the_library_opencv_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    file = encoded(picture(np.random.default_rng(5), 20, 30))
    expected = decode_image(file)
    monkeypatch.setattr(jpeg, "simplejpeg", lambda: None)
    assert jpeg.decode_jpeg(file, turn=False) is None
    assert np.array_equal(decode_image(file), expected)


def test_an_image_that_is_held_keeps_its_pixels() -> None:
    random = np.random.default_rng(6)
    files = [encoded(picture(random, 30, 30)) for _ in range(20)]
    images = [decode_image(file) for file in files]
    parts = [decode_image(file)[1:2, 3:9, ::2] for file in files]
    for file, image, part in zip(files, images, parts, strict=True):
        assert np.array_equal(pixels(image), by_opencv(file, None))
        assert np.array_equal(part, image[1:2, 3:9, ::2])


def test_memory_is_given_out_again_once_nobody_looks_at_it() -> None:
    memory, dtype = RecycledMemory(2), np.dtype(np.uint8)
    array = memory.take(100, dtype)
    place, view = array.ctypes.data, array[10:20].reshape(2, 5)
    memory.put(array)
    del array
    assert memory.take(100, dtype).ctypes.data != place
    del view
    assert memory.take(101, dtype).ctypes.data != place
    assert memory.take(100, np.dtype(np.int8)).ctypes.data != place
    assert memory.take(100, dtype).ctypes.data == place
