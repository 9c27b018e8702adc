"""Items by their indices, and the way back: arrays of shape (items, inner), indices as numbers of the layer's dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.kernels import host_operation


@host_operation
def gather(x: np.ndarray, index: np.ndarray, y: np.ndarray) -> None:
    """y[i] = x[index[i]].

    Raises:
        ShapeError: an index is not an item of x; a device, which cannot raise, makes the item NaN.
    """
    y[...] = x[_indices(index, len(x))]


@gather.cuda
def gather_cuda(kernels: Any, x: Any, index: Any, y: Any) -> None:
    kernels.gather(y.size, x, index, y, *x.shape)


@host_operation
def scatter(y_diff: np.ndarray, index: np.ndarray, x_diff: np.ndarray) -> None:
    """Add y_diff[i] to x_diff[index[i]]; an item may have several places, whose gradients add up."""
    np.add.at(x_diff, _indices(index, len(x_diff)), y_diff)


@scatter.cuda
def scatter_cuda(kernels: Any, y_diff: Any, index: Any, x_diff: Any) -> None:
    kernels.scatter(y_diff.size, y_diff, index, x_diff, *x_diff.shape)


def _indices(values: np.ndarray, items: int) -> np.ndarray:
    wrong = ~((values >= 0) & (values < items))
    if wrong.any():
        position = int(wrong.argmax())
        value = float(values[position])
        bound = "negative" if value < 0 else "greater than batch size"
        raise ShapeError(
            f"Index specified for reindex layer was {bound}: {value:g} at {position}.",
            f"The batch has {items} item(s): 0 to {items - 1}." if items else "The batch is empty.",
        )
    return values.astype(np.int64)
