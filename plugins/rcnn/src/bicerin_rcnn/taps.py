"""Taps: which pixels along one axis a sample is made of, and what each counts.

A region is sampled at places between pixels, and those of its rows do not depend on its columns: what an output is made
of is the product of the taps along either axis. They are array code, the same on every device.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Taps(NamedTuple):
    """Along one axis, for each region and each of its outputs.

    Attributes:
        places: pixels, `(R, P, K)`, int32, within the map.
        weights: what each counts, `(R, P, K)`; 0 for one that does not.
    """

    places: Any
    weights: Any


def linear_taps(xp: Any, at: Any, size: int, share: Any = 1) -> Taps:
    """The two pixels around each place.

    Args:
        at: places, `(R, P, S)`; a place beyond the first or the last pixel is taken to lie on it.
        size: of the map.
        share: what a place counts, broadcast to `(R, P, S)`.
    """
    at = xp.clip(at, 0, size - 1)
    before = xp.floor(at)
    after = xp.minimum(before + 1, size - 1)
    further = at - before
    return _joined(xp, [before, after], [(1 - further) * share, further * share])


def linear_taps_without_last(xp: Any, at: Any, size: int) -> Taps:
    """As `linear_taps`, but a place on the last pixel, with none after it, has the weights 0 and 0: a quirk of frcnn.

    Args:
        at: places within the map, `(R, P)`.
    """
    before = xp.floor(at)
    after = xp.minimum(before + 1, size - 1)
    return _joined(xp, [before[..., None], after[..., None]], [(after - at)[..., None], (at - before)[..., None]])


def cubic_taps(xp: Any, at: Any, size: int, a: float = -1) -> Taps:
    """The four pixels around each place, `(R, P)`, by cubic convolution.

    Pixels beyond the map are the outermost. Keys, "Cubic convolution interpolation", 1981.

    Args:
        a: the slope of the weights at the distance 1; ROIAlign has -1, OpenCV -3/4.
    """
    before = xp.floor(at)
    places, weights = [], []
    for step in (-1, 0, 1, 2):
        distance = xp.abs(at - before - step)
        inner = 1 + distance * distance * ((a + 2) * distance - (a + 3))
        outer = a * (distance * (distance * (distance - 5) + 8) - 4)
        places.append(xp.clip(before + step, 0, size - 1)[..., None])
        weights.append(xp.where(distance < 1, inner, xp.where(distance < 2, outer, 0))[..., None])
    return _joined(xp, places, weights)


def _joined(xp: Any, places: list[Any], weights: list[Any]) -> Taps:
    dtype = places[0].dtype
    return Taps(xp.concatenate(places, axis=2).astype(np.int32), xp.concatenate(weights, axis=2).astype(dtype))
