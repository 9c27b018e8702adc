"""Filter: only those items of a batch that a selector keeps.

The last bottom is the selector, `(N,)` or `(N, 1, ...)`: an item passes where it is not 0. The others, `(N, ...)`,
become tops of `(n, ...)` with the n items that pass, in their order. Until the first forward pass, when the selector is
not known yet, the tops have the whole batch's shape; where nothing passes they are empty, n = 0. An item that does not
pass takes a zero gradient; the selector takes none. float32 or float64.

Source: Caffe's `FilterLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import BlobCountError, LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, at_least


class FilterLayer(Layer):
    """Filters several bottoms at once, one top for each."""

    type = "Filter"
    counts = BlobCounts(bottom=at_least(2), top=at_least(1))
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if len(top) != len(bottom) - 1:
            raise BlobCountError(
                f"{len(bottom)} bottoms need {len(bottom) - 1} top(s), not {len(top)}.",
                "There is one top for each bottom but the last, which is the selector.",
            )
        self._selector = len(bottom) - 1
        self._selector_known = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        selector = bottom[-1]
        if not selector.shape or selector.count_between(1) != 1:
            raise ShapeError(
                f"Selector blob dimensions must be singletons (1), except the first; it has the shape {selector.shape}."
            )
        for index, blob in enumerate(bottom[:-1]):
            if blob.shape[:1] != selector.shape[:1]:
                raise ShapeError(
                    "Each bottom should have the same 0th dimension as the selector blob: "
                    f"bottom {index} has the shape {blob.shape}, and there are {selector.shape[0]} selectors."
                )
        items = selector.shape[0]
        if self._selector_known:
            self._passing = self._passing_items(selector)
            items = len(self._passing)
        self._selector_known = True
        for blob, source in zip(top, bottom, strict=False):
            blob.reshape(items, *source.shape[1:])

    def _passing_items(self, selector: Blob) -> Any:
        """The indices of the items that pass; of a device, only their number is read."""
        xp, device = self.xp, self.context.device
        if not selector.count:
            return xp.empty(0, np.int64)
        with device.current():
            stays = (selector.data.reshape(-1) == 0).astype(np.int32)
            number = int(device.read_number(stays.size - stays.sum()))
            return xp.argsort(stays, kind="stable")[:number]

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != self._selector

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for blob, source in zip(top, bottom, strict=False):
            blob.data[...] = source.data[self._passing]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[-1]:
            raise LayerError("Filter Layer cannot backpropagate to filter index inputs.")
        for blob, source, wanted in zip(top, bottom, propagate_down, strict=False):
            if wanted:
                source.diff.fill(0)
                source.diff[self._passing] = blob.diff
