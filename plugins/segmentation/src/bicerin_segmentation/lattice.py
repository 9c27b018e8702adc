"""Gaussian filters of points with features, on a permutohedral lattice."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.device import Device
from bicerin.errors import LayerError

#: Added to what is divided by, as in the forks.
TINY = 1e-20
GROUP = 4
#: Features that are farther from 0 than this have no places in whole numbers of 32 bits.
FARTHEST = 1e4


class Lattice:
    """The filter of one set of points: each gets the mean of all values, weighted with exp(-|f_i - f_j|^2 / 2).

    The weights are an approximation, and so is their sum, by which the means are divided. Of a device the host reads
    three numbers.

    Args:
        device: the side it runs on.
        ops: the operations of `permutohedral_kernels`, for that side.
        features: float32, shape (P, d), in standard deviations.
        dtype: of the values.

    Raises:
        LayerError: the features are too far apart, or not finite.
    """

    def __init__(self, device: Device, ops: Any, features: Any, dtype: Any) -> None:
        self._device, self._ops = device, ops
        xp = self._xp = device.xp
        count, d = features.shape
        # NaN is not less than anything.
        if count:
            self._require(xp.abs(features).max() < FARTHEST)
        # The forks find simplices of four points at a time, and of points at 0 where some are missing: the corners of
        # these are in the lattice too, and values are blurred across them.
        four = -(-count // GROUP) * GROUP
        padded = xp.zeros((four, d), np.float32)
        padded[:count] = features
        keys, weights = xp.empty((four, d + 1, d), np.int32), xp.empty((four, d + 1), np.float32)
        ops.simplices(padded, keys, weights)
        points, corners, steps = self._points(keys.reshape(-1, d))
        self._corners = corners.reshape(four, d + 1)[:count].astype(np.int32)
        self._weights = weights[:count].astype(dtype)
        self._beside = xp.empty((d + 1, len(points), 2), np.int32)
        for axis in range(d + 1):
            for side, sign in enumerate((-1, 1)):
                wanted = points + sign * steps[axis]
                found = xp.minimum(xp.searchsorted(points, wanted), max(len(points) - 1, 0))
                self._beside[axis, :, side] = xp.where(points[found] == wanted, found, len(points))
        self._norm: Any = None
        sums = xp.empty((1, count), dtype)
        self._blur(xp.ones((1, count), dtype), False, sums)
        self._norm = 1 / (sums + np.dtype(dtype).type(TINY))

    def _require(self, suits: Any) -> None:
        if not self._device.read_number(suits):
            raise LayerError(
                "the features are too far apart for a lattice, or not finite.",
                "theta_alpha and theta_gamma are in pixels, theta_beta in values of the picture.",
            )

    def _points(self, keys: Any) -> tuple[Any, Any, Any]:
        """A number for each key that there is, in the keys' order; which of these each corner is; and by how much a
        step along each axis changes a number.
        """
        xp, d = self._xp, keys.shape[1]
        if not len(keys):
            return xp.empty(0, np.int64), xp.empty(0, np.int64), xp.zeros(d + 1, np.int64)
        # A neighbour's numbers are 1 or d away.
        low = keys.min(axis=0).astype(np.int64) - d
        spans = keys.max(axis=0) + d + 1 - low
        self._require(xp.log2(spans.astype(np.float64)).sum() < 62)
        places = xp.cumprod(spans[::-1])[::-1] // spans
        codes = ((keys - low) * places).sum(axis=1)
        # What `unique` does, but CuPy's copies more than a number.
        order = xp.argsort(codes)
        ordered = codes[order]
        ranks = xp.zeros(len(codes), np.int64)
        ranks[1:] = xp.cumsum(ordered[1:] != ordered[:-1])
        points = xp.empty(1 + int(self._device.read_number(ranks[-1])), np.int64)
        points[ranks] = ordered
        corners = xp.empty_like(ranks)
        corners[order] = ranks
        # Along axis j all numbers of the key grow by 1, but the j-th, which falls by d; the last axis has none.
        steps = xp.zeros(d + 1, np.int64)
        steps += places.sum()
        steps[:d] -= (d + 1) * places
        return points, corners, steps

    def _blur(self, x: Any, backward: bool, y: Any) -> None:
        self._ops.blur(x, self._corners, self._weights, self._beside, backward, y)

    def filter(self, x: Any) -> Any:
        """The means of planes, shape (K, P)."""
        y = self._xp.empty_like(x)
        self._blur(x, False, y)
        y *= self._norm
        return y

    def filter_backward(self, y_diff: Any) -> Any:
        """The gradient of what was filtered, shape (K, P)."""
        x_diff = self._xp.empty_like(y_diff)
        self._blur(y_diff * self._norm, True, x_diff)
        return x_diff


def grid_features(xp: Any, height: int, width: int, theta: float) -> Any:
    """The places of an image's pixels, (x, y) / theta; float32, shape (H W, 2)."""
    places = xp.empty((height, width, 2), np.float32)
    places[..., 0] = xp.arange(width, dtype=np.float32) / np.float32(theta)
    places[..., 1] = xp.arange(height, dtype=np.float32)[:, None] / np.float32(theta)
    return places.reshape(-1, 2)


def bilateral_features(xp: Any, image: Any, theta_place: float, theta_value: float) -> Any:
    """Places / theta_place and values / theta_value of an image (C, H, W); float32, shape (H W, 2 + C)."""
    channels, height, width = image.shape
    features = xp.empty((height * width, 2 + channels), np.float32)
    features[:, :2] = grid_features(xp, height, width, theta_place)
    features[:, 2:] = image.reshape(channels, -1).T.astype(np.float32) / np.float32(theta_value)
    return features
