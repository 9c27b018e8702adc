"""BN over arrays of shape (outer, channels, inner); per-channel values have the shape (channels,)."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def normalize_array(
    xp: Any, x: Any, mean: Any, inverse: Any, scale: Any, shift: Any, normalized: Any, y: Any
) -> None:  # fmt: skip
    xp.subtract(x, mean[:, None], out=normalized)
    normalized *= inverse[:, None]
    xp.multiply(normalized, scale[:, None], out=y)
    y += shift[:, None]


@elementwise("x, mean[c], inverse[c], scale[c], shift[c] -> normalized, y", array=normalize_array)
def normalize(x: Any, mean: Any, inverse: Any, scale: Any, shift: Any) -> Any:
    value = (x - mean) * inverse
    return value, value * scale + shift


def input_gradient_array(
    xp: Any, y_diff: Any, normalized: Any, along: Any, total: Any, factor: Any, x_diff: Any
) -> None:  # fmt: skip
    rest = normalized * along[:, None]
    rest += total[:, None]
    xp.subtract(y_diff, rest, out=x_diff)
    x_diff *= factor[:, None]


@elementwise("y_diff, normalized, along[c], total[c], factor[c] -> x_diff", array=input_gradient_array)
def input_gradient(y_diff: Any, normalized: Any, along: Any, total: Any, factor: Any) -> Any:
    return (y_diff - (normalized * along + total)) * factor
