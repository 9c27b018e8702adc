"""Upsample: pixels repeated, or put back where a pooling took them from. Badrinarayanan et al., SegNet, 2015."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.device import CudaSource
from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, between
from bicerin_mobile import upsample_kernels as kernels


class UpsampleLayer(Layer):
    """With one bottom, each pixel becomes `scale` x `scale` pixels; with two, each goes to the place its mask says.

    Bottom 0: `(N, C, H, W)`. Bottom 1, optional: places in a plane of the top, y * W' + x, of the same shape, as the
    second top of a Pooling layer; places that no pixel goes to are 0, and of several pixels that go to one, the last
    stays. Top: `(N, C, H', W')`.

    The forks mean different things by one type; the number of bottoms tells them apart. Repeating, H' = `scale` H, with
    1 by default (MobileNet-YOLO). Putting back, H' is `upsample_h`, or `scale_h` H, or `scale` H with 2 by default,
    less 1 with `pad_out_h`; likewise W' (SegNet, ENet). The mask has no gradient.
    """

    type = "Upsample"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    cuda = CudaSource(__file__, "upsample.cu")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.masked = len(bottom) == 2
        #: On a device, the pixel that goes to each place of the top.
        self.source = Blob((), np.int32, self.device, "source")
        if self.masked:
            self._set_up_unpooling()
        else:
            self._set_up_repeating()

    def _set_up_repeating(self) -> None:
        param = self.param.upsample_param
        extra = [field.name for field, _ in param.ListFields() if field.name != "scale"]
        if extra:
            raise LayerError(
                f"{', '.join(extra)} is for unpooling, which takes 2 bottoms.",
                "Give the mask, the second top of the Pooling layer, as the second bottom.",
            )
        self.scale: int = param.scale if param.HasField("scale") else 1
        if not self.scale:
            raise LayerError("scale must be > 0")

    def _set_up_unpooling(self) -> None:
        param = self.param.upsample_param
        has_h, has_w = param.HasField("scale_h"), param.HasField("scale_w")
        self.size: tuple[int, int] | None = None
        if param.HasField("upsample_h") and param.HasField("upsample_w"):
            self.size = (param.upsample_h, param.upsample_w)
            if min(self.size) < 2:
                raise LayerError(f"upsample_h and upsample_w must be greater than 1: {self.size}.")
            return
        if has_h != has_w or (has_h and param.HasField("scale")):
            raise LayerError(
                "upsample_h & upsample_w are required, else (DEPRECATED) scale OR scale_h & scale_w are required."
            )
        self.scales = (param.scale_h, param.scale_w) if has_h else (param.scale, param.scale)
        self.less = (int(param.pad_out_h), int(param.pad_out_w))
        for name, scale, less in zip(("height", "width"), self.scales, self.less, strict=True):
            if scale < 2:
                raise LayerError(f"the scale of the {name} must be greater than 1, not {scale}.")
            if less and scale != 2:
                raise LayerError(
                    f"Output {name} padding compensation requires scale_{name[0]} == 2, otherwise the output size is "
                    "ill-defined."
                )

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if self.masked:
            if len(shape) != 4:
                raise ShapeError(
                    f"Input must have 4 axes, corresponding to (num, channels, height, width), not {len(shape)}."
                )
            if bottom[1].shape != shape:
                raise ShapeError(f"the mask must have the shape of the input: {bottom[1].shape} against {shape}.")
            size = self.size or tuple(
                length * scale - less for length, scale, less in zip(shape[2:], self.scales, self.less, strict=True)
            )
        else:
            if len(shape) < 2:
                raise ShapeError(f"Input must have a height and a width, not the shape {shape}.")
            size = tuple(length * self.scale for length in shape[-2:])
        top[0].reshape(*shape[:-2], *size)
        self.source.reshape_like(top[0])

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not self.masked:
            kernels.repeat(_planes(bottom[0], bottom[0].cpu_data), _planes(top[0], top[0].data))
            return
        self.places = _flat(bottom[1], bottom[1].cpu_data).astype(np.int64)
        wrong = (self.places < 0) | (self.places >= top[0].count_between(2))
        if wrong.any():
            raise LayerError(
                f"upsample top index {self.places[wrong][0]} out of range - check scale settings match input pooling "
                f"layer's downsample setup: the top is {top[0].shape[2]} x {top[0].shape[3]}."
            )
        kernels.unpool(_flat(bottom[0], bottom[0].cpu_data), self.places, _flat(top[0], top[0].data))

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0] and not self.masked:
            kernels.repeat_backward(_planes(top[0], top[0].cpu_diff), _planes(bottom[0], bottom[0].diff))
        elif propagate_down[0]:
            diff = _flat(top[0], top[0].cpu_diff)
            _flat(bottom[0], bottom[0].diff)[...] = np.take_along_axis(diff, self.places, axis=1)
        if self.masked and propagate_down[1]:
            bottom[1].diff.fill(0)

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].const_gpu_data, top[0].gpu_data
        if not self.masked:
            self.kernels.repeat(y.size, x, y, *x.shape[-2:], self.scale)
            return
        source = self.source.gpu_data
        source.fill(-1)
        sizes = (bottom[0].count_between(2), top[0].count_between(2))
        self.kernels.find_sources(x.size, bottom[1].const_gpu_data, source, *sizes)
        self.kernels.put_back(y.size, x, source, y)

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        y_diff = top[0].const_gpu_diff
        if propagate_down[0] and not self.masked:
            diff = bottom[0].gpu_diff
            self.kernels.repeat_backward(diff.size, y_diff, diff, *diff.shape[-2:], self.scale)
        elif propagate_down[0]:
            places, diff = bottom[1].const_gpu_data, bottom[0].gpu_diff
            sizes = (bottom[0].count_between(2), top[0].count_between(2))
            self.kernels.put_back_backward(diff.size, y_diff, places, diff, *sizes)
        if self.masked and propagate_down[1]:
            bottom[1].gpu_diff.fill(0)


def _planes(blob: Blob, array: np.ndarray) -> np.ndarray:
    return array.reshape(blob.count_between(0, blob.num_axes - 2), *blob.shape[-2:])


def _flat(blob: Blob, array: np.ndarray) -> np.ndarray:
    return array.reshape(blob.count_between(0, 2), blob.count_between(2))
