"""Planes with their padding, and what all windows have at one place: what the NumPy references of pooling walk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def padded(
    bottom: np.ndarray, top: np.ndarray, fill: float, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> np.ndarray:
    """The planes with `fill` around them, as far as any window reaches."""
    planes, height, width = bottom.shape
    span_h = max((top.shape[1] - 1) * sh + kh, ph + height)
    span_w = max((top.shape[2] - 1) * sw + kw, pw + width)
    whole = np.full((planes, span_h, span_w), fill, bottom.dtype)
    whole[:, ph : ph + height, pw : pw + width] = bottom
    return whole


def positions(
    padded: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each place in the window, in row-major order, the pixels that all windows have there, in the shape of top."""
    _, pooled_h, pooled_w = top.shape
    for i in range(kh):
        for j in range(kw):
            yield i, j, padded[:, i : i + (pooled_h - 1) * sh + 1 : sh, j : j + (pooled_w - 1) * sw + 1 : sw]
