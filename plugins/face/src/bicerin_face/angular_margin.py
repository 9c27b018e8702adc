"""ψ, in place of the cosine of an angle θ where a margin is wanted: (-1)^k cos(mθ) - 2k, from 1 to 1 - 2m.

It is written in cos θ and signs, so that no arc cosine is needed. Source: Liu et al., large-margin softmax, 2016.
"""

from __future__ import annotations

from typing import Any

MULTIPLES = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}


def psi(xp: Any, multiple: int, cosine: Any) -> tuple[Any, Any]:
    """ψ and its derivative at a cosine, for m = 1 to 4.

    Where two pieces meet, a sign of 0 takes the mean of both, as in the forks.
    """
    c = cosine
    if multiple == 1:
        return c, xp.ones_like(c)
    square = c * c
    if multiple == 2:
        sign = xp.sign(c)
        return 2 * sign * square - 1, 4 * sign * c
    if multiple == 3:
        sign = xp.sign(xp.abs(c) - 0.5)
        shift = xp.sign(c) * (1 + sign) - 2
        return sign * (4 * square - 3) * c + shift, sign * (12 * square - 3)
    half = xp.sign(c)
    sign = half * xp.sign(2 * square - 1)
    shift = 2 * half + sign - 3
    return sign * (8 * square * (square - 1) + 1) + shift, sign * (32 * square - 16) * c
