"""ShuffleChannel: channels dealt out anew over groups.

Top channel j G + i is bottom channel i C / G + j, for the G = `group` groups i.

- bottom, top: shape (N, C, ...), the same.

Source: Zhang et al., "ShuffleNet", 2017; the ShuffleChannelLayer of farmingyard/ShuffleNet.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class ShuffleChannelLayer(Layer):
    """The gradient is dealt back."""

    type = "ShuffleChannel"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.group: int = self.param.shuffle_channel_param.group
        if not self.group:
            raise LayerError("group must be greater than 0")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes < 2:
            raise ShapeError(f"Input must have the shape (N, C, ...), not {bottom[0].shape}.")
        number, channels = bottom[0].shape[:2]
        if channels % self.group:
            raise ShapeError(f"Wrong group size: {channels} channels are not a multiple of {self.group}.")
        top[0].reshape_like(bottom[0])
        self.rows = (number, self.group, channels // self.group, bottom[0].count_between(2))
        self.columns = (number, channels // self.group, self.group, self.rows[3])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data.reshape(self.columns)[...] = bottom[0].data.reshape(self.rows).swapaxes(1, 2)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff.reshape(self.rows)[...] = top[0].diff.reshape(self.columns).swapaxes(1, 2)
