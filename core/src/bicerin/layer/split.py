"""Split: one bottom given to several tops. The net inserts it where two layers read one blob.

Source: Caffe's `SplitLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer.array_layer import ArrayLayer
from bicerin.layer.blob import Blob
from bicerin.layer.layer import BlobCounts, at_least


class SplitLayer(ArrayLayer):
    """Tops share the bottom's data; the bottom's gradient is the sum of theirs."""

    type = "Split"
    counts = BlobCounts(bottom=1, top=at_least(1))
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for blob in top:
            blob.reshape_like(bottom[0])
            blob.share_data(bottom[0])

    def forward_array(self, xp: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        """The data is shared."""

    def backward_array(
        self, xp: Any, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]
    ) -> None:
        if not propagate_down[0]:
            return
        if len(top) == 1:
            bottom[0].diff[...] = top[0].diff
            return
        if xp is np:
            from bicerin.layer.split_kernels import add_all  # here, since it brings Numba, and few nets have a Split

            add_all(bottom[0].diff.reshape(-1), [blob.diff.reshape(-1) for blob in top])
            return
        xp.add(top[0].diff, top[1].diff, out=bottom[0].diff)
        for blob in top[2:]:
            xp.add(bottom[0].diff, blob.diff, out=bottom[0].diff)
