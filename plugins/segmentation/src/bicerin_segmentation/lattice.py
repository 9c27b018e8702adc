"""Gaussian filters of points with features, on a permutohedral lattice."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from bicerin.errors import LayerError

#: Added to what is divided by, as in the forks.
TINY = 1e-20
GROUP = 4
#: Features that are farther from 0 than this have no places in whole numbers of 32 bits.
FARTHEST = 1e4


class Lattice:
    """The filter of one set of points: each gets the mean of all values, weighted with exp(-|f_i - f_j|^2 / 2).

    The weights are an approximation, and so is their sum, by which the means are divided.

    Args:
        xp: the array module of the side it runs on.
        ops: the operations of `permutohedral_kernels`, for that side.
        features: float32, shape (P, d), in standard deviations.
        dtype: of the values.

    Raises:
        LayerError: the features are too far apart, or not finite.
    """

    def __init__(self, xp: Any, ops: Any, features: Any, dtype: Any) -> None:
        self._xp, self._ops = xp, ops
        count, d = features.shape
        # NaN is not less than anything.
        if count and not float(xp.abs(features).max()) < FARTHEST:
            _refuse()
        # The forks find simplices of four points at a time, and of points at 0 where some are missing: the corners of
        # these are in the lattice too, and values are blurred across them.
        four = -(-count // GROUP) * GROUP
        padded = xp.zeros((four, d), np.float32)
        padded[:count] = features
        keys, weights = xp.empty((four, d + 1, d), np.int32), xp.empty((four, d + 1), np.float32)
        ops.simplices(padded, keys, weights)
        codes, steps = self._codes(keys.reshape(-1, d))
        points, corners = xp.unique(codes, return_inverse=True)
        self._corners = corners.reshape(four, d + 1)[:count].astype(np.int32)
        self._weights = weights[:count].astype(dtype)
        self._beside = xp.empty((d + 1, len(points), 2), np.int32)
        for axis, step in enumerate(steps):
            for side, sign in enumerate((-1, 1)):
                wanted = points + sign * step
                found = xp.minimum(xp.searchsorted(points, wanted), max(len(points) - 1, 0))
                self._beside[axis, :, side] = xp.where(points[found] == wanted, found, len(points))
        self._norm: Any = None
        sums = xp.empty((1, count), dtype)
        self._blur(xp.ones((1, count), dtype), False, sums)
        self._norm = 1 / (sums + np.dtype(dtype).type(TINY))

    def _codes(self, keys: Any) -> tuple[Any, list[int]]:
        """A number for each key, in whose order the keys are; and how much it grows by a step along each axis."""
        d = keys.shape[1]
        if not len(keys):
            return self._xp.zeros(0, np.int64), [0] * (d + 1)
        # A neighbour's numbers are 1 or d away.
        least, most = self._xp.stack([keys.min(axis=0), keys.max(axis=0)]).tolist()
        low = [number - d for number in least]
        spans = [high + d + 1 - number for high, number in zip(most, low, strict=True)]
        codes, places, place = self._xp.zeros(len(keys), np.int64), [], 1
        for span in reversed(spans):
            places.append(place)
            place *= span
        if place >= 2**62:
            _refuse()
        places.reverse()
        for i in range(d):
            codes += (keys[:, i].astype(np.int64) - low[i]) * places[i]
        # Along axis j all numbers of the key grow by 1, but the j-th, which falls by d; the last axis has none.
        together = sum(places)
        return codes, [*(together - (d + 1) * place for place in places), together]

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


def _refuse() -> NoReturn:
    raise LayerError(
        "the features are too far apart for a lattice, or not finite.",
        "theta_alpha and theta_gamma are in pixels, theta_beta in values of the picture.",
    )


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
