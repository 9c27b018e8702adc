"""Matrices most of whose elements are 0, but for a band in each row and in each column, as the sums of windows have."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.layer import Layer


class Band:
    """A matrix, and between which columns each row, and between which rows each column, may be other than 0."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix
        self.rows, self.columns = _bounds(matrix), _bounds(matrix.T)


def _bounds(matrix: np.ndarray) -> np.ndarray:
    """The first place of each row that is not 0 and the one after the last, shape (rows, 2); 0 and 0 for none."""
    there = matrix != 0
    some = there.any(axis=1) if matrix.shape[1] else np.zeros(len(matrix), bool)
    bounds = np.zeros((len(matrix), 2), np.int32)
    bounds[some, 0] = there[some].argmax(axis=1)
    bounds[some, 1] = matrix.shape[1] - there[some, ::-1].argmax(axis=1)
    return bounds


class BandBlobs:
    """A band on the device of a layer: its matrix, its transpose, and the bounds of both."""

    def __init__(self, layer: Layer, name: str) -> None:
        self._layer = layer
        self._matrix, self._transpose = (layer.new_blob(name=f"{name}_{part}") for part in ("matrix", "transpose"))
        self._rows, self._columns = (
            layer.new_blob(name=f"{name}_{part}", dtype=np.int32) for part in ("rows", "columns")
        )

    def set(self, band: Band) -> None:
        """Take these values."""
        values = (band.matrix, band.matrix.T, band.rows, band.columns)
        for blob, value in zip((self._matrix, self._transpose, self._rows, self._columns), values, strict=True):
            blob.reshape(*value.shape)
            blob.data[...] = self._layer.xp.asarray(value, blob.dtype)

    def arrays(self) -> tuple[Any, Any]:
        """The matrix and the bounds of its rows."""
        return self._matrix.data, self._rows.data

    def transposed(self) -> tuple[Any, Any]:
        """The transpose and the bounds of its rows."""
        return self._transpose.data, self._columns.data
