"""`debug_info: true`: the mean absolute value of every blob that a pass computes, logged in Caffe's words.

Source: Caffe's `Net::ForwardDebugInfo`, `BackwardDebugInfo` and `UpdateDebugInfo`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from math import sqrt

import numpy as np

from bicerin.net import Net

_log = logging.getLogger("bicerin.solver")


def attach(net: Net) -> None:
    """Log every forward and backward pass of the net from now on."""
    net.after_forward.append(lambda index: _forward(net, index))
    net.after_backward.append(lambda index: _backward(net, index))


@contextlib.contextmanager
def attached(net: Net) -> Iterator[None]:
    """Log the passes within the block, and at its end the norms of all weights and gradients."""
    observers = (net.after_forward, net.after_backward)
    before = [list(callbacks) for callbacks in observers]
    attach(net)
    try:
        yield
    finally:
        for callbacks, kept in zip(observers, before, strict=True):
            callbacks[:] = kept
    params = net.learnable_params
    both = ([blob.read_only.data for blob in params], [blob.read_only.diff for blob in params])
    sums = [sum(_l1(array) for array in arrays) for arrays in both]
    squares = [sqrt(sum(float(np.vdot(array, array)) for array in arrays)) for arrays in both]
    _log.info(
        "    [Backward] All net params (data, diff): L1 norm = (%g, %g); L2 norm = (%g, %g)",
        sums[0],
        sums[1],
        squares[0],
        squares[1],
    )


def update(net: Net) -> None:
    """Log the weights and their updates, after an update."""
    for name, blobs in net.params.items():
        for index, blob in enumerate(blobs):
            if net.owns(blob):
                data, diff = _mean(blob.read_only.data), _mean(blob.read_only.diff)
                _log.info("    [Update] Layer %s, param %d data: %g; diff: %g", name, index, data, diff)


def _forward(net: Net, index: int) -> None:
    node = net.nodes[index]
    for blob in node.top:
        _log.info("    [Forward] Layer %s, top blob %s data: %g", node.name, blob.name, _mean(blob.read_only.data))
    for position, blob in enumerate(node.blobs):
        _log.info("    [Forward] Layer %s, param blob %d data: %g", node.name, position, _mean(blob.read_only.data))


def _backward(net: Net, index: int) -> None:
    node = net.nodes[index]
    if not node.wants_backward:
        return
    for blob, wanted in zip(node.bottom, node.propagate_down, strict=True):
        if wanted:
            mean = _mean(blob.read_only.diff)
            _log.info("    [Backward] Layer %s, bottom blob %s diff: %g", node.name, blob.name, mean)
    for position, blob in enumerate(node.blobs):
        if node.layer.param_propagate_down(position):
            mean = _mean(blob.read_only.diff)
            _log.info("    [Backward] Layer %s, param blob %d diff: %g", node.name, position, mean)


def _l1(array: np.ndarray) -> float:
    return float(np.abs(array).sum())


def _mean(array: np.ndarray) -> float:
    return _l1(array) / array.size if array.size else 0.0
