"""The gradient of a bias: the sum of a channel's gradient over images and positions."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import num_workers, operation, part, spread


def add_bias_gradient_array(xp: Any, dy: Any, db: Any) -> None:
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


@operation(array=add_bias_gradient_array)
def add_bias_gradient(dy, db):  # type: ignore[no-untyped-def]
    """db `(K,)` += the sums of dy `(N, K, positions)`."""
    spread(add_channel, dy.shape[1], num_workers(dy.size), (dy, db))


@add_bias_gradient.cuda
def add_bias_gradient_cuda(kernels: Any, dy: Any, db: Any) -> None:
    kernels.bias_gradient.blocks(len(db), dy, db, *dy.shape)
