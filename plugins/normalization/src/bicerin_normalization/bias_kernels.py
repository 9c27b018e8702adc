"""A shift of `(outer, dim, inner)` along its middle axis."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def add_array(xp: Any, x: Any, bias: Any, y: Any) -> None:
    xp.add(x, bias[:, None], out=y)


@elementwise("x, bias[c] -> y", array=add_array)
def add(x: Any, bias: Any) -> Any:
    return x + bias
