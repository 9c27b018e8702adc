"""Regions of interest: rows `(image, x1, y1, x2, y2)` of a blob, corners included, and the bins they are divided into.

Bins are computed in the blob's own dtype, step by step as the forks of Caffe do, since a coordinate that is rounded the
other way pools other pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob

#: Coordinates are clipped here, far outside of any map, so that they are whole numbers that fit.
FAR = 2**30


class Bins(NamedTuple):
    """The pixels of each bin.

    Attributes:
        image: the image of each region, `(R,)`.
        rows: the first row of each bin and the one after its last, `(R, pooled_h, 2)`; equal or less for no row.
        columns: the same of columns, `(R, pooled_w, 2)`.
    """

    image: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def require_regions(blob: Blob) -> None:
    """Raise a `ShapeError` unless the blob has five numbers per region."""
    if blob.channels * blob.height * blob.width != 5:
        raise ShapeError(
            f"ROI layer C x W x H must be == 5, not {blob.channels * blob.height * blob.width}.",
            "Each region is (image, x1, y1, x2, y2): shape (R, 5) or (R, 5, 1, 1).",
        )


def require_grouped_maps(blob: Blob, outputs: int, group: int) -> None:
    """Raise a `ShapeError` unless the blob has a map for each bin, group x group of them, of each output."""
    wanted = outputs * group**2
    if blob.channels != wanted:
        raise ShapeError(
            f"input channel number does not match layer parameters: {blob.channels} against {wanted}.",
            f"It is output_dim * group_size^2 = {outputs} * {group}^2.",
        )


def read_regions(regions: np.ndarray, images: int) -> tuple[np.ndarray, np.ndarray]:
    """The image of each region, `(R,)`, and its corners x1, y1, x2, y2, `(R, 4)`; regions are `(R, 5)`.

    Raises:
        LayerError: a number is not finite, or an image is not in 0 to `images` - 1.
    """
    finite = np.isfinite(regions).all(axis=1)
    if not finite.all():
        wrong = int(finite.argmin())
        raise LayerError(f"region {wrong} is not finite: {regions[wrong].tolist()}.")
    image = np.trunc(regions[:, 0]).clip(-FAR, FAR).astype(np.int64)
    inside = (image >= 0) & (image < images)
    if not inside.all():
        wrong = int(inside.argmin())
        raise LayerError(
            f"region {wrong} is of image {image[wrong]}, but there are {images}: 0 to {images - 1}."
            if images
            else f"region {wrong} is of image {image[wrong]}, but there are none."
        )
    return image, regions[:, 1:].clip(-FAR, FAR)


def rounded(values: np.ndarray) -> np.ndarray:
    """To the nearest whole number, halves away from zero as in C. (NumPy's `round` takes the nearest even one.)"""
    whole = np.trunc(values)
    return whole + np.where(np.abs(values - whole) >= 0.5, np.copysign(1, values), 0).astype(values.dtype)


def whole_bins(start: np.ndarray, stop: np.ndarray, scale: float, pooled: int, size: int) -> np.ndarray:
    """Bins along one axis of regions whose corners are pixels of the map, `(R, pooled, 2)`.

    A corner is round(scale * coordinate), included. Bin p of a region of s pixels, at least 1, from pixel b on is
    b + floor(p s / pooled) to b + ceil((p + 1) s / pooled), clipped to the map's `size`.
    """
    dtype = start.dtype
    first = rounded(start * dtype.type(scale))
    length = np.maximum(rounded(stop * dtype.type(scale)) - first + 1, 1)
    return _bins(first, np.zeros_like(first), (length / dtype.type(pooled)).astype(dtype), pooled, size)


def scaled_bins(start: np.ndarray, stop: np.ndarray, scale: float, pooled: int, size: int) -> np.ndarray:
    """Bins along one axis of regions whose corners lie between pixels of the map, `(R, pooled, 2)`.

    A region goes from b = scale * round(start) to scale * (round(stop) + 1), at least 0.1 further on. Bin p of its
    length s is floor(b + p s / pooled) to ceil(b + (p + 1) s / pooled), clipped to the map's `size`.
    """
    dtype = start.dtype
    first = rounded(start) * dtype.type(scale)
    length = np.maximum((rounded(stop) + 1) * dtype.type(scale) - first, dtype.type(0.1))
    return _bins(np.zeros_like(first), first, (length / dtype.type(pooled)).astype(dtype), pooled, size)


def _bins(outside: np.ndarray, within: np.ndarray, length: np.ndarray, pooled: int, size: int) -> np.ndarray:
    """Edges at `outside` + floor or ceil of (p * `length` + `within`)."""
    edges = np.arange(pooled + 1, dtype=length.dtype) * length[:, None] + within[:, None]
    bins = np.stack([np.floor(edges[:, :-1]), np.ceil(edges[:, 1:])], axis=2) + outside[:, None, None]
    return bins.clip(0, size).astype(np.int64)
