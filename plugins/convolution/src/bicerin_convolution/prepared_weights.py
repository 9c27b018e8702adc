"""Prepared weights: packed or transformed for a product, kept from one call to the next while they do not change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin_convolution.workspace import aligned_zeros, workspace


class PreparedWeights:
    """One product's weights in the form that its kernels read.

    They are kept from the second call on that finds the weights unchanged: a solver changes them before each pass, and
    kept copies would then only take memory.

    Args:
        prepare: writes that form: `(w, prepared)`.
        shape, dtype: its own.
    """

    def __init__(
        self, prepare: Callable[[np.ndarray, np.ndarray], None], shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self._prepare = prepare
        self._shape, self._dtype = shape, dtype
        self._seen: int | None = None
        self._kept: np.ndarray | None = None

    def of(self, w: np.ndarray, version: int | None) -> np.ndarray:
        """The weights in that form. Valid until the next call of this or another product, or longer if they are kept.

        Args:
            version: a number that is another one if `w` may have changed since the last call; None if nobody knows.
        """
        unchanged = version is not None and version == self._seen
        if unchanged and self._kept is not None:
            return self._kept
        self._seen = version
        if unchanged:
            self._kept = aligned_zeros(self._shape, self._dtype)
        else:
            self._kept = None
        prepared = workspace("weights", self._shape, self._dtype) if self._kept is None else self._kept
        self._prepare(w, prepared)
        return prepared
