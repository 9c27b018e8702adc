"""Parts and sizes at random, as forks take them before the crop: what there are, and one that was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bicerin.errors import DataError
from bicerin.layer import Phase
from bicerin.schema import read_layer
from bicerin_data.augmentation import resized
from bicerin_data.transformer import Transformer


def transformer(options: str, phase: str = "TRAIN") -> Transformer:
    param = read_layer(f'type: "Data" transform_param {{ {options} }}').transform_param
    return Transformer(param, Phase.of(phase), np.dtype(np.float32), Path)


def transformed(options: str, images: list[np.ndarray], seed: int = 0, phase: str = "TRAIN") -> np.ndarray:
    transform = transformer(options, phase)
    out = np.empty((len(images), *transform.output_shape(images[0].shape)), np.float32)
    transform(images, np.random.default_rng(seed), out)
    return out


def image(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (channels, height, width)).astype(np.uint8)


def by_opencv(one: np.ndarray, height: int, width: int, interpolation: int) -> np.ndarray:
    return np.asarray(cv2.resize(one.transpose(1, 2, 0), (width, height), interpolation=interpolation)).transpose(
        2, 0, 1
    )


def test_a_part_of_many_channels_as_y_xiongs_caffe_made_it() -> None:
    """All of 12 x 12, six channels, resized to 8 x 8: the only part that these options leave."""
    with np.load(Path(__file__).parent / "recorded" / "parts" / "multi_scale.npz") as case:
        options = "crop_size: 8 fix_crop: true more_fix_crop: true multi_scale: true scale_ratios: 1 max_distort: 1"
        np.testing.assert_allclose(transformed(options, list(case["images"])), case["batch"], rtol=1e-4)


def test_multi_scale_takes_ratios_that_are_close_and_places_of_a_grid() -> None:
    """Without resizing, each part is found in the image again: 16 x 20, of the ratios 1, 1/2, the second one 8 x 8."""
    one = np.arange(16 * 20, dtype=np.float32).reshape(1, 16, 20)
    options = "crop_size: 8 multi_scale: true scale_ratios: [1, 0.5] max_distort: 0 fix_crop: true"
    corners = set()
    for row in transformed(options, [one] * 200):
        top, left = divmod(int(row[0, 0, 0]), 20)
        if np.array_equal(row[0], one[0, top : top + 8, left : left + 8]):
            corners.add((top, left))
    assert corners == {(0, 0), (0, 12), (8, 0), (8, 12), (4, 6)}


def test_fix_crop_alone_crops_at_five_places_or_at_thirteen() -> None:
    one = np.arange(12 * 12, dtype=np.float32).reshape(1, 12, 12)
    for more, number in (("", 5), ("more_fix_crop: true", 13)):
        rows = transformed(f"crop_size: 4 fix_crop: true {more}", [one] * 400)
        assert len({float(row[0, 0, 0]) for row in rows}) == number
    middle = transformed("crop_size: 4 fix_crop: true", [one], phase="TEST")
    np.testing.assert_array_equal(middle[0, 0], one[0, 4:8, 4:8])


@pytest.mark.parametrize(("height", "width", "size"), [(10, 20, (8, 16)), (21, 14, (12, 8)), (8, 8, (8, 8))])
def test_intels_random_resize_sets_the_shorter_side(height: int, width: int, size: tuple[int, int]) -> None:
    options = "crop_size: 6 random_resize_param { min_size: 8 max_size: 8 resize_param { interp_mode: CUBIC } }"
    one = image(height, width)
    whole = by_opencv(one, *size, cv2.INTER_CUBIC)
    top, left = (size[0] - 6) // 2, (size[1] - 6) // 2
    result = transformed(options, [one], phase="TEST")[0]
    np.testing.assert_array_equal(result, whole[:, top : top + 6, left : left + 6])


def test_intels_random_aspect_ratio_takes_parts_of_the_areas_asked_for() -> None:
    """Of a ramp in both directions, resized linearly, the range says how large the part was."""
    rows, columns = np.mgrid[0:40, 0:60].astype(np.float32)
    one = np.stack([rows, columns])
    options = (
        "crop_size: 16 random_aspect_ratio_param { min_area_ratio: 0.2 max_area_ratio: 0.4 aspect_ratio_change: 0.8 }"
    )
    for part in transformed(options, [one] * 100):
        sides = part[0, -1, 0] - part[0, 0, 0], part[1, 0, -1] - part[1, 0, 0]
        area = np.prod([side * 16 / 15 for side in sides]) / (40 * 60)
        assert 0.15 < area < 0.43
        assert 0.55 < sides[0] / sides[1] < 1.8
    never_fits = "crop_size: 16 random_aspect_ratio_param { min_area_ratio: 1 aspect_ratio_change: 0.5 max_attempt: 2 }"
    whole = transformed(never_fits, [one])
    assert whole[0, 0, -1, 0] - whole[0, 0, 0, 0] > 36, "the whole image, its shorter side crop_size"


@pytest.mark.parametrize(
    ("options", "size", "interpolation"),
    [
        ("img_rand_resize_lower: 12 img_rand_resize_upper: 12", (12, 24), cv2.INTER_CUBIC),
        ("img_rand_resize_lower: 8 img_rand_resize_upper: 8", (8, 16), cv2.INTER_AREA),
        (
            "img_rand_resize_lower: 8 img_rand_resize_upper: 8 interpolation_algo_down: INTER_NEAREST",
            (8, 16),
            cv2.INTER_NEAREST,
        ),
        ("img_rand_resize_lower: 3 img_rand_resize_upper: 3", (6, 6), cv2.INTER_AREA),
        ("rand_resize_ratio_lower: 1.5 rand_resize_ratio_upper: 1.5", (10, 15), cv2.INTER_AREA),
        ("vertical_stretch_lower: 2 vertical_stretch_upper: 2", (20, 20), cv2.INTER_CUBIC),
        ("horizontal_stretch_lower: 2 horizontal_stretch_upper: 2 allow_upscale: false", (10, 20), None),
    ],
)
def test_nvidias_sizes(options: str, size: tuple[int, int], interpolation: int | None) -> None:
    one = image(10, 20)
    whole = one if interpolation is None else by_opencv(one, *size, interpolation)
    top, left = (size[0] - 6) // 2, (size[1] - 6) // 2
    result = transformed(f"crop_size: 6 {options}", [one], phase="TEST")[0]
    np.testing.assert_array_equal(result, whole[:, top : top + 6, left : left + 6])


def test_nvidias_mean_file_is_cropped_in_the_middle(tmp_path: Path) -> None:
    from bicerin_proto import array_blob, write_binary

    mean = np.random.default_rng(1).uniform(0, 9, (1, 3, 10, 12)).astype(np.float32)
    write_binary(array_blob(mean), tmp_path / "mean.binaryproto")
    options = f'crop_size: 6 img_rand_resize_lower: 8 img_rand_resize_upper: 8 mean_file: "{tmp_path}/mean.binaryproto"'
    without = transformed(options.split("mean_file")[0], [image(16, 16)], phase="TEST")
    result = transformed(options, [image(16, 16)], phase="TEST")
    np.testing.assert_allclose(result[0], without[0] - mean[0, :, 2:8, 3:9], rtol=1e-6)


def test_flow_that_is_mirrored_changes_the_sign_of_x() -> None:
    one = image(4, 4, channels=4)
    seen = set()
    for row in transformed("mirror: true is_flow: true", [one] * 20):
        if np.array_equal(row, one):
            seen.add("as it is")
        else:
            flipped = one[:, :, ::-1].astype(np.float32)
            flipped[::2] = 255 - flipped[::2]
            np.testing.assert_array_equal(row, flipped)
            seen.add("mirrored")
    assert seen == {"as it is", "mirrored"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("random_resize_param { min_size: 8 }", "need a crop_size"),
        ("crop_size: 4 random_resize_param { min_size: 8 max_size: 6 }", "min_size 8 is above max_size 6"),
        ("crop_size: 4 random_resize_param { } multi_scale: true", "several forks"),
        ("crop_size: 4 random_resize_param { resize_param { resize_mode: FIT_SMALL_SIZE } }", "WARP alone"),
        ("crop_size: 4 random_resize_param { resize_param { prob: 0.5 } }", "its prob would have no effect"),
        ("crop_size: 4 random_aspect_ratio_param { resize_param { height: 9 } }", "its height would have no effect"),
        ("crop_size: 4 img_rand_resize_lower: 8", "both, the lower not above"),
        ("crop_size: 4 more_fix_crop: true", "give fix_crop"),
        ("crop_size: 4 scale_ratios: 0.5", "scale_ratios has no effect without multi_scale"),
        ("crop_size: 4 allow_upscale: false", "allow_upscale has no effect without img_rand_resize_lower or"),
        ("crop_size: 4 rand_resize_ratio_lower: 0.5 rand_resize_ratio_upper: 2", "1 or more"),
        ("crop_size: 4 vertical_stretch_lower: 2", "the lower not above the upper"),
        ("crop_size: 4 multi_scale: true scale_ratios: 1.5", "at most 1"),
        ("crop_size: 4 random_aspect_ratio_param { min_area_ratio: 0 }", "0 < min_area_ratio"),
        ('crop_size: 4 multi_scale: true mean_file: "mean"', "give mean_value"),
    ],
)
def test_what_cannot_be(options: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        transformer(options)


def test_an_image_that_is_too_small_after_resizing_is_refused() -> None:
    with pytest.raises(DataError, match=r"an image of 4 x 4, as it is resized, is smaller than crop_size 6"):
        transformed("crop_size: 6 random_resize_param { min_size: 4 max_size: 4 }", [image(8, 8)])


def test_a_size_that_opencv_cannot_make_is_refused() -> None:
    one: Any = image(4, 4)
    with pytest.raises(DataError, match="cannot be made"):
        resized(one, 2**31 - 1, 2**31 - 1, cv2.INTER_LINEAR)
