"""Arrays as pictures."""

from __future__ import annotations

import numpy as np

from bicerin.net.picture import grid, is_image, pixels


def test_pixels_are_scaled_and_turned_to_red_green_blue() -> None:
    images = np.zeros((2, 3, 1, 2), np.float32)
    images[0, :, 0] = [[0, 1], [2, 4], [8, 0]]  # blue, green, red
    images[1] = 5
    found = pixels(images)
    assert found.dtype == np.uint8
    assert found[0, 0].tolist() == [[255, 64, 0], [0, 128, 32]]
    assert (found[1] == 0).all(), "a constant image has no contrast"


def test_zero_is_grey_in_filters() -> None:
    assert pixels(np.array([[[[-1.0, 0.0, 0.5]]]]), symmetric=True).reshape(-1).tolist() == [0, 128, 191]


def test_what_is_not_finite_is_black() -> None:
    images = np.array([[[[1, np.nan, 2, -np.inf]]], [[[np.nan] * 4]]])
    assert pixels(images).reshape(2, 4).tolist() == [[0, 0, 255, 0], [0, 0, 0, 0]]
    assert pixels(images, symmetric=True)[1].max() == 0


def test_a_grid() -> None:
    pictures = np.arange(1, 4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 1), np.uint8)
    assert grid(pictures, columns=2, background=9)[..., 0].tolist() == [[1, 1, 9, 2, 2], [9] * 5, [3, 3, 9, 9, 9]]
    assert grid(pictures[:0]).shape == (1, 2, 1)
    assert grid(np.zeros((5, 4, 4, 3), np.uint8)).shape == (9, 14, 3)


def test_what_is_shown_as_images() -> None:
    assert is_image((8, 3, 5, 5)) and is_image((8, 1, 2, 2))
    assert not any(map(is_image, [(8, 2, 5, 5), (8, 3), (8, 3, 1, 1), (3, 5, 5)]))
