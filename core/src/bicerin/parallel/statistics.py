"""Parameters that layers keep themselves, such as BatchNorm's averages, which each rank has of its own records."""

from __future__ import annotations

import zlib

import numpy as np

from bicerin.net import Net
from bicerin.parallel.communicator import Communicator


def average_statistics(communicator: Communicator, net: Net) -> None:
    """Put the average over the ranks in the place of every parameter that the solver leaves alone and that differs.

    What is the same everywhere, such as a frozen weight, stays as it is to the bit.
    """
    kept = [blob for blob, lr_mult in zip(net.learnable_params, net.params_lr, strict=True) if lr_mult == 0]
    if not kept or communicator.size == 1:
        return
    sums = np.array([zlib.crc32(np.ascontiguousarray(blob.read_only.data).data) for blob in kept], np.uint32)
    everyones = np.stack([np.frombuffer(one, np.uint32) for one in communicator.all_gather(sums.tobytes())])
    differing = [blob for blob, differs in zip(kept, (everyones != everyones[0]).any(axis=0), strict=True) if differs]
    if not differing:
        return
    whole = np.concatenate([blob.read_only.data.reshape(-1) for blob in differing]).astype(np.float64)
    communicator.all_reduce(whole)
    whole /= communicator.size
    begin = 0
    for blob in differing:
        blob.data.reshape(-1)[...] = whole[begin : begin + blob.count]
        begin += blob.count
