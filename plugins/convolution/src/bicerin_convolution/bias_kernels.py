"""The gradient of a bias: the sum of a channel's gradient over images and positions."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, prange


def add_bias_gradient_reference(dy: np.ndarray, db: np.ndarray) -> None:
    """db `(K,)` += the sums of dy `(N, K, positions)`."""
    db += dy.sum(axis=2).sum(axis=0)


@kernel(reference=add_bias_gradient_reference, parallel=True, fastmath={"reassoc", "contract"})
def add_bias_gradient(dy, db):  # type: ignore[no-untyped-def]
    for k in prange(dy.shape[1]):
        total = db[k]
        for n in range(dy.shape[0]):
            line = dy[n, k]
            part = dy.dtype.type(0)
            for value in line:
                part += value
            total += part
        db[k] = total
