"""L1Loss: the sum of absolute differences, by the images.

top = the sum of |bottom 0 - bottom 1| / N. The gradient is the sign of the difference, 0 where there is none, / N.

Source: the L1LossLayer of NVIDIA's Caffe, of DetectNet. (flownet2's layer of that name has `l1_loss_param`, whose
options are not known here.)
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, LossLayer


class L1LossLayer(LossLayer):
    """Bottoms: predictions and targets, `(N, ...)`, as many in each; both take a gradient. Top: `()`."""

    type = "L1Loss"

    def allow_force_backward(self, bottom_index: int) -> bool:
        return True

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        if bottom[0].count != bottom[1].count:
            raise ShapeError(f"Inputs must have the same dimension: {bottom[0].shape} against {bottom[1].shape}.")
        self.number = max(1, bottom[0].num)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.difference = bottom[0].data.reshape(-1) - bottom[1].data.reshape(-1)
        top[0].data[...] = self.xp.abs(self.difference).sum() / self.number

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        scale = self.loss_gradient(top) / self.number
        for index, factor in enumerate((scale, -scale)):
            if propagate_down[index]:
                bottom[index].diff.reshape(-1)[...] = self.xp.sign(self.difference) * factor
