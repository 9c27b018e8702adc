"""ReLU6: y = min(max(x, 0) + negative_slope * min(x, 0), 6). Krizhevsky, 2010; MobileNetV2."""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.device import CudaSource
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin_mobile import relu6_kernels as kernels


class ReLU6Layer(Layer):
    """Bottom and top have any shape, the same. In place the gradient reads y, which lies on the same side of 0 and 6.

    `relu6_param` has the fields of `relu_param`. The gradient at 6 is 0, and at 0 the slope. Source: the ReLU6Layer of
    MobileNet-YOLO.
    """

    type = "ReLU6"
    cuda = CudaSource(__file__, "relu6.cu")
    counts = BlobCounts(bottom=1, top=1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.negative_slope: float = self.param.relu6_param.negative_slope

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        kernels.forward(bottom[0].cpu_data.reshape(-1), self.negative_slope, top[0].data.reshape(-1))

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            x, y_diff, x_diff = bottom[0].cpu_data, top[0].cpu_diff, bottom[0].diff
            kernels.backward(x.reshape(-1), self.negative_slope, y_diff.reshape(-1), x_diff.reshape(-1))

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0].const_gpu_data
        self.kernels.forward(x.size, x, self.negative_slope, top[0].gpu_data)

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            x, y_diff = bottom[0].const_gpu_data, top[0].const_gpu_diff
            self.kernels.backward(x.size, x, self.negative_slope, y_diff, bottom[0].gpu_diff)
