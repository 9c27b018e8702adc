"""The regions of the greatest loss: arrays of shape (regions, channels, pixels), a region for each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import array_operation, host_operation


@host_operation
def keep_hardest(
    regions: np.ndarray,
    losses: np.ndarray,
    labels: np.ndarray,
    most: int,
    ignored: int,
    kept: np.ndarray,
    kept_labels: np.ndarray,
) -> None:
    """Keep the labels of the `most` regions of each image that have the greatest loss, among equal ones the first.

    Args:
        regions: the image in channel 0.
        most: how many of each image, at least 1.
        ignored: the label of the others.
        kept: int32, becomes 1 where a region is kept, else 0.
    """
    image = regions[:, 0].reshape(-1).astype(np.int64)
    order = np.lexsort((-losses.reshape(-1), image))
    ordered = image[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    kept.reshape(-1)[order] = rank < most
    kept_labels[...] = np.where(kept, labels, labels.dtype.type(ignored))


@keep_hardest.cuda
def keep_hardest_cuda(
    kernels: Any, regions: Any, losses: Any, labels: Any, most: int, ignored: int, kept: Any, kept_labels: Any
) -> None:
    kernels.hardest(kept.size, regions, losses, labels, kept, kept_labels, regions.shape[2], most, ignored)


@array_operation
def keep_weights(xp: Any, kept: Any, weights: Any, kept_weights: Any) -> None:
    """The weights of regions that are kept, else 0."""
    kept_weights[...] = xp.where(kept, weights, weights.dtype.type(0))


@keep_weights.cuda
def keep_weights_cuda(kernels: Any, kept: Any, weights: Any, kept_weights: Any) -> None:
    kernels.keep_weights(weights.size, kept, weights, kept_weights, *weights.shape[1:])
