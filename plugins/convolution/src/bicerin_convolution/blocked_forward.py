"""What computes a convolution's forward pass on arrays whose channels are in blocks of a vector.

The arrays are flat, `(N, blocks of C, H, W, lanes)` with zeros for missing channels, as other libraries have them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from bicerin.kernels.panel import VECTOR_BYTES

#: How sums end, as kernels take it: the shift of each channel, the slope, the addend, and whether that counts.
Finishing = tuple[np.ndarray, np.floating, np.ndarray, bool]


def lanes_of(dtype: np.dtype) -> int:
    """Channels in a block."""
    return VECTOR_BYTES // dtype.itemsize


def in_whole_blocks(channels: int, dtype: np.dtype) -> int:
    """The channels of as many blocks as so many need."""
    lanes = lanes_of(dtype)
    return -(-channels // lanes) * lanes


class BlockedForward(ABC):
    """y = f(weights * x + shift + addend), with f(v) = v where v > 0, else slope * v.

    Args:
        outputs: the channels of y, in whole blocks.
        dtype: of all arrays.
    """

    def __init__(self, outputs: int, dtype: np.dtype) -> None:
        self._outputs, self._dtype = outputs, dtype

    @abstractmethod
    def transform(self, w: np.ndarray, keep: bool = True) -> np.ndarray:
        """The weights, `(M, C / group, kernel...)`, as the kernels read them.

        Args:
            keep: for the caller to keep; else they may be valid until the next call of this or another product.
        """

    @abstractmethod
    def compute(self, x: np.ndarray, packed: np.ndarray, finishing: Finishing, y: np.ndarray) -> None:
        """Write y."""

    def bind(
        self,
        x: np.ndarray,
        packed: np.ndarray,
        y: np.ndarray,
        shift: np.ndarray,
        slope: float = 1.0,
        addend: np.ndarray | None = None,
    ) -> Callable[[], int]:
        """What computes y from these arrays, as often as it is called, and says 0.

        Args:
            packed: of `transform`.
            shift: of each output; empty for zeros.
            addend: in the order of y, which may be its memory.
        """
        padded = np.zeros(self._outputs, self._dtype)
        padded[: shift.size] = shift
        finishing = padded, self._dtype.type(slope), y if addend is None else addend, addend is not None

        def run() -> int:
            self.compute(x, packed, finishing, y)
            return 0

        return run
