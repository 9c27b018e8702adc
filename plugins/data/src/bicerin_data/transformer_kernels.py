"""Crop, mirror, mean and scale of one image in one pass, whatever the order in which its pixels lie.

An image is given flat, with the distance between its channels, rows and columns, so that what OpenCV decodes (its
channels interleaved) and what a Datum holds (one channel after the other) are read as they are. Rows of the result stay
in the cache from the first step to the last.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from bicerin.kernels import kernel, part

_Strides = tuple[int, int, int]


def place_image_reference(
    image: np.ndarray, strides: _Strides, begin: int, mirror: bool, mean: np.ndarray, mean_strides: _Strides,
    mean_begin: int, mean_mirror: bool, scale: np.floating, out: np.ndarray,
) -> None:  # fmt: skip
    pixels, means = (
        as_strided(flat[first:], out.shape, tuple(step * flat.strides[0] for step in steps))[:, :, :: -1 if back else 1]
        for flat, steps, first, back in (
            (image, strides, begin, mirror), (mean, mean_strides, mean_begin, mean_mirror),
        )
    )  # fmt: skip
    np.subtract(pixels, means, out=out, dtype=out.dtype)
    if scale != 1:
        np.multiply(out, scale, out=out)


# A loop that goes backwards is vectorized where w falls and the target's place rises, and not the other way round.


@part
def place_row(source: np.ndarray, step: int, mirror: bool, mean: float, scale: float, row: np.ndarray) -> None:
    """Every `step`-th number, less the mean and scaled; from the last to the first if mirrored."""
    count = row.size
    if step == 1 and mirror:
        for w in range(count - 1, -1, -1):
            row[count - 1 - w] = (source[w] - mean) * scale
    elif step == 1:
        for w in range(count):
            row[w] = (source[w] - mean) * scale
    elif mirror:
        for w in range(count - 1, -1, -1):
            row[count - 1 - w] = (source[step * w] - mean) * scale
    else:
        for w in range(count):
            row[w] = (source[step * w] - mean) * scale


@part
def place_three_rows(
    source: np.ndarray, mirror: bool, means: np.ndarray, scale: float, first: np.ndarray, second: np.ndarray,
    third: np.ndarray,
) -> None:  # fmt: skip
    """A row of each of three interleaved channels, in one walk over them."""
    count = first.size
    a, b, c = means[0], means[1], means[2]
    if mirror:
        for w in range(count - 1, -1, -1):
            first[count - 1 - w] = (source[3 * w] - a) * scale
            second[count - 1 - w] = (source[3 * w + 1] - b) * scale
            third[count - 1 - w] = (source[3 * w + 2] - c) * scale
    else:
        for w in range(count):
            first[w] = (source[3 * w] - a) * scale
            second[w] = (source[3 * w + 1] - b) * scale
            third[w] = (source[3 * w + 2] - c) * scale


@part
def less_and_scaled(row: np.ndarray, mean: np.ndarray, mirror: bool, scale: float) -> None:
    """row = (row - mean) * scale, the mean's numbers from the last to the first if mirrored."""
    count = row.size
    if mirror:
        for w in range(count - 1, -1, -1):
            row[count - 1 - w] = (row[count - 1 - w] - mean[w]) * scale
    else:
        for w in range(count):
            row[w] = (row[w] - mean[w]) * scale


@kernel(reference=place_image_reference)
def place_image(
    image: np.ndarray, strides: _Strides, begin: int, mirror: bool, mean: np.ndarray, mean_strides: _Strides,
    mean_begin: int, mean_mirror: bool, scale: np.floating, out: np.ndarray,
) -> None:  # fmt: skip
    """out = (x - mean) * scale, of a part of an image, mirrored or not.

    Args:
        image: all values of the image, uint8 or float32, not writable.
        strides: how far it is in `image` from one channel, one row, one column to the next.
        begin: where the part begins in `image`.
        mean: values in the dtype of `out`; with `mean_strides` (1, 0, 0) one for each channel, otherwise an image.
        mean_begin, mean_mirror: where its part begins, and whether that is mirrored.
        out: shape (C, h, w).
    """
    channels, height, width = out.shape
    apart, down, across = strides
    is_image = mean_strides[2] == 1
    means = np.zeros(channels, out.dtype) if is_image else mean
    factor = out.dtype.type(1) if is_image else scale
    for h in range(height):
        first = begin + h * down
        if apart == 1 and across == 3:
            place_three_rows(image[first : first + 3 * width], mirror, means, factor, out[0, h], out[1, h], out[2, h])
        else:
            for c in range(channels):
                source = image[first + c * apart : first + c * apart + (width - 1) * across + 1]
                place_row(source, across, mirror, means[c], factor, out[c, h])
        if is_image:
            for c in range(channels):
                first = mean_begin + c * mean_strides[0] + h * mean_strides[1]
                less_and_scaled(out[c, h], mean[first : first + width], mean_mirror, scale)
