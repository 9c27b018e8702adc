"""Split: one bottom given to several tops. The net inserts it where two layers read one blob.

Source: Caffe's `SplitLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.layer.abilities import HasExample, Repetition, Replays, RereadsBottoms
from bicerin.layer.blob import Blob
from bicerin.layer.counts import BlobCounts, at_least
from bicerin.layer.layer import Layer
from bicerin.layer.operations import Operations


class SplitLayer(HasExample, Replays, RereadsBottoms, Layer):
    """Tops share the bottom's data; the bottom's gradient is the sum of theirs."""

    type = "Split"
    example = """
        layer { name: "in" type: "Input" top: "in" input_param { shape { dim: 1 dim: 3 dim: 224 dim: 224 } } }
        layer { name: "split" type: "Split" bottom: "in" top: "one" top: "two" }
        """
    counts = BlobCounts(bottom=1, top=at_least(1))
    operations = Operations("split_kernels")
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for blob in top:
            blob.reshape_like(bottom[0])
            blob.share_data(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The data is shared."""

    def repetition(self) -> Repetition:
        return Repetition()

    def reads_in_bottoms(self) -> bool:
        return False

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        if len(top) == 1:
            bottom[0].diff[...] = top[0].diff
            return
        total, given = bottom[0].diff.reshape(-1), [blob.diff.reshape(-1) for blob in top]
        if len(given) >= 4:
            self.ops.add_four(*given[:4], total)
            rest = given[4:]
        else:
            self.ops.add_two(*given[:2], total)
            rest = given[2:]
        for diff in rest:
            self.ops.add_two(total, diff, total)
