"""Convolution3D: Convolution over frames, height and width, as C3D writes it. Tran et al., "Learning Spatiotemporal
Features with 3D Convolutional Networks", 2015.

`kernel_depth`, `temporal_stride` and `temporal_pad` are sizes along the frames, `kernel_size`, `stride` and `pad` those
along height and width. In nets of C3D 1.0 they stand in `convolution_param`. `filter_group` says in how many parts C3D
computes the outputs, and changes nothing.

Source: the Convolution3DLayer of C3D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob
from bicerin_convolution.convolution import ConvolutionLayer
from bicerin_video.axis_sizes import sized


class Convolution3DLayer(ConvolutionLayer):
    """Bottoms `(N, C, L, H, W)` to tops `(N, num_output, L', H', W')`. Blobs: `(num_output, C, kernel_depth,
    kernel_size, kernel_size)` and the bias `(num_output,)`.
    """

    type = "Convolution3D"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes != 5:
            raise ShapeError(f"the bottom must have the shape (N, C, L, H, W), not {bottom[0].shape}.")
        own, param = self.param.convolution3d_param, self.param.convolution_param
        of_1_0 = param.HasField("kernel_depth")
        if of_1_0 and self.param.HasField("convolution3d_param"):
            raise LayerError("give convolution3d_param, or as in C3D 1.0 convolution_param; not both.")
        said = param if of_1_0 else own
        if said.group != 1:
            raise LayerError(f"C3D knows no groups: group is {said.group}, and must be 1.")
        if said.filter_group < 1 or said.num_output % said.filter_group:
            raise LayerError(f"num_output {said.num_output} must be a multiple of filter_group {said.filter_group}.")
        along = (said.kernel_depth, said.temporal_stride, said.temporal_pad)
        sizes = [_only(said, name, usual) for name, usual in (("kernel_size", 0), ("stride", 1), ("pad", 0))]
        with sized(param, *((first, others, others) for first, others in zip(along, sizes, strict=True))):
            if not of_1_0:
                param.num_output, param.bias_term = own.num_output, own.bias_term
                param.weight_filler.CopyFrom(own.weight_filler)
                param.bias_filler.CopyFrom(own.bias_filler)
            super().layer_set_up(bottom, top)


def _only(param: Any, name: str, usual: int) -> int:
    """The one value of a field, repeated or not."""
    value = getattr(param, name)
    values = [value] if isinstance(value, int) else list(value) or [usual]
    if len(values) > 1:
        raise LayerError(f"convolution_param: with kernel_depth {name} is one number, not {len(values)}.")
    return int(values[0])
