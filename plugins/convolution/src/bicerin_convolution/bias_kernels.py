"""The gradient of a bias: the sum of a channel's gradient over images and positions."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread


def add_bias_gradient_reference(dy: np.ndarray, db: np.ndarray) -> None:
    """db `(K,)` += the sums of dy `(N, K, positions)`."""
    db += dy.sum(axis=2).sum(axis=0)


@part(fastmath={"reassoc", "contract"})
def add_channel(k, worker, dy, db):  # type: ignore[no-untyped-def]
    total = db[k]
    for n in range(dy.shape[0]):
        line = dy[n, k]
        share = dy.dtype.type(0)
        for value in line:
            share += value
        total += share
    db[k] = total


@kernel(reference=add_bias_gradient_reference)
def add_bias_gradient(dy, db):  # type: ignore[no-untyped-def]
    spread(add_channel, dy.shape[1], num_workers(dy.size), (dy, db))
