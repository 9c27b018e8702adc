"""The mask of Dropout, made where it is used: a function of the element's index and of the pass's key.

An element's random number is a hash of its index, mixed twice with 32 bits of the key, so the mask needs no memory,
does not depend on the number of threads, and is the same on every device. Of generators for devices it costs least: two
multiplications per element, where Philox (`bicerin.device.random_stream`) takes ten rounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import PIECE, num_workers, operation, part, piece, pieces, spread

# Multipliers of a 32-bit finalizer with low bias (C. Wellons, "Prospecting for hash functions", 2018).
_FIRST = np.uint32(0x7FEB352D)
_SECOND = np.uint32(0x846CA68B)
_SHIFT_16 = np.uint32(16)
_SHIFT_15 = np.uint32(15)


def mask(xp: Any, count: int, key: tuple[int, int], threshold: int) -> Any:
    """Which of `count` elements are kept, each with probability 1 - threshold / 2**32; shape `(count,)`, bool."""
    bits = xp.arange(count, dtype=np.uint32)
    bits ^= np.uint32(key[0])
    bits ^= bits >> _SHIFT_16
    bits *= _FIRST
    bits ^= (bits >> _SHIFT_15) ^ np.uint32(key[1])
    bits *= _SECOND
    bits ^= bits >> _SHIFT_16
    return bits >= np.uint32(threshold)


def drop_array(xp: Any, x: Any, key_0: int, key_1: int, threshold: int, scale: Any, y: Any) -> None:
    xp.multiply(x, scale * mask(xp, x.size, (key_0, key_1), threshold).reshape(x.shape), out=y)


@part
def drop_piece(unit: Any, worker: Any, x: Any, first: Any, second: Any, least: Any, scale: Any, y: Any) -> None:
    x, y = piece(x, unit), piece(y, unit)
    # The element's index is unit * PIECE + i, which is their XOR, since PIECE is a power of two.
    first ^= np.uint32(unit * PIECE)
    for i in range(x.size):
        bits = np.uint32(i) ^ first
        # Each product is cut to 32 bits, since Numba's is of 64.
        bits = np.uint32((bits ^ (bits >> _SHIFT_16)) * _FIRST)
        bits = np.uint32((bits ^ (bits >> _SHIFT_15) ^ second) * _SECOND)
        bits ^= bits >> _SHIFT_16
        y[i] = x[i] * scale if bits >= least else x.dtype.type(0)


@operation(array=drop_array)
def drop(x: Any, key_0: int, key_1: int, threshold: int, scale: Any, y: Any) -> None:
    """y = x · scale where the mask keeps the element, else 0; `x` and `y` of shape `(count,)`, maybe the same array."""
    arguments = (x, np.uint32(key_0), np.uint32(key_1), np.uint32(threshold), scale, y)
    spread(drop_piece, pieces(x), num_workers(x.size), arguments)


@drop.cuda
def drop_cuda(kernels: Any, x: Any, key_0: int, key_1: int, threshold: int, scale: Any, y: Any) -> None:
    kernels.drop(x.size, x, key_0, key_1, threshold, scale, y)
