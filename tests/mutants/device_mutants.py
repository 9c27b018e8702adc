"""Faults of device code, planted into the CUDA C or the array code of a layer whose honest form passes the kit.

`found_by` names the check of `bicerin.testing.CHECKS` that must fail on the emulated device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bicerin.device import CudaSource
from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin.testing import LayerCase, layer_case

Blobs = Sequence[Blob]

#: Of each row: y = x + 0.3 x[next], and the sums of the rows; the last column has no next.
SOURCE = """
extern "C" __global__ void forward(int n, int columns, const real* x, real* y) {
  ELEMENT(i, n);
  const real next = i % columns + 1 < columns ? x[i + 1] : (real)0;
  y[i] = x[i] + (real)0.3 * next;
}

extern "C" __global__ void row_sums(int columns, const real* x, real* sums) {
  __shared__ real parts[BLOCK];
  real sum = 0;
  for (int i = threadIdx.x; i < columns; i += BLOCK) sum += x[blockIdx.x * columns + i];
  parts[threadIdx.x] = sum;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = parts[0];
}

extern "C" __global__ void backward(int n, int columns, const real* y_diff, const real* sums_diff, real* x_diff) {
  ELEMENT(i, n);
  atomicAdd(&x_diff[i], y_diff[i] + sums_diff[i / columns]);
  if (i % columns + 1 < columns) atomicAdd(&x_diff[i + 1], (real)0.3 * y_diff[i]);
}
"""


class Device(Layer):
    """Two tops of x (rows, columns): y, and the sums of the rows; see SOURCE."""

    type = "Device"
    counts = BlobCounts(bottom=1, top=2)
    allows_in_place = False
    source = SOURCE

    def layer_set_up(self, bottom: Blobs, top: Blobs) -> None:
        device = self.context.device
        self.kernels: Any = None if device.is_host else CudaSource([], self.source).on(device, self.dtype)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        if bottom[0].num_axes != 2:
            raise ShapeError(f"its bottom must be (rows, columns), not {bottom[0].shape}.")
        top[0].reshape_like(bottom[0])
        top[1].reshape(bottom[0].shape[0])

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].data
        top[0].data[...] = x
        top[0].data[:, :-1] += self.dtype.type(0.3) * x[:, 1:]
        top[1].data[...] = x.sum(1)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff + top[1].diff[:, None]
            bottom[0].diff[:, 1:] += self.dtype.type(0.3) * top[0].diff[:, :-1]

    def forward_gpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].data
        rows, columns = x.shape
        if x.size:
            self.kernels.forward(x.size, columns, x, top[0].data)
            self.kernels.row_sums.blocks(rows, columns, x, top[1].data)

    def backward_gpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0] and bottom[0].count:
            self.clear(bottom[0].diff)
            self.kernels.backward(bottom[0].count, bottom[0].shape[1], top[0].diff, top[1].diff, bottom[0].diff)

    def clear(self, array: Any) -> None:
        array.fill(0)


CASE: LayerCase = layer_case("device", 'type: "Device" top: "a" top: "b"', [(4, 5)])


@dataclass(frozen=True)
class Mutant:
    """A fault: what replaces what in SOURCE, or which attributes of the layer are others."""

    fault: str
    found_by: str
    right: str = ""
    wrong: str = ""
    attributes: tuple[tuple[str, Any], ...] = ()

    def made(self) -> type[Device]:
        assert self.right in SOURCE, self.right
        changed = {"source": SOURCE.replace(self.right, self.wrong, 1) if self.right else SOURCE}
        return type("MutantDevice", (Device,), changed | dict(self.attributes))


def _through_the_host(self: Any, bottom: Blobs, top: Blobs) -> None:
    x = bottom[0].data
    Device.forward_gpu(self, bottom, top)
    top[1].data[...] = self.xp.asarray(self.xp.asnumpy(x).sum(1))


def _array_of_float64(self: Any, bottom: Blobs, top: Blobs) -> None:
    Device.forward_gpu(self, bottom, top)
    self.sums = self.xp.zeros(bottom[0].shape)


def _writes_bottom(self: Any, bottom: Blobs, top: Blobs) -> None:
    bottom[0].data[...] *= 1
    Device.forward_gpu(self, bottom, top)


def _other_memory(self: Any, bottom: Blobs, top: Blobs) -> None:
    Device.forward_gpu(self, bottom, top)
    total = self.xp.empty(bottom[0].shape[:1], self.dtype)
    total += top[1].data
    top[1].data[...] = total


MUTANTS = [
    Mutant("a gradient that is summed up is not cleared before", "gradients", attributes=(("clear", lambda *_: None),)),
    Mutant(
        "two threads add to one element without atomics",
        "gradients",
        "atomicAdd(&x_diff[i + 1], (real)0.3 * y_diff[i])",
        "x_diff[i + 1] += (real)0.3 * y_diff[i]",
    ),
    Mutant("two threads write one element", "forward", "y[i] = x[i]", "y[i / 2] = x[i]"),
    Mutant(
        "a barrier is missing in a sum",
        "forward",
        "parts[threadIdx.x] += parts[threadIdx.x + half];\n    __syncthreads();",
        "parts[threadIdx.x] += parts[threadIdx.x + half];\n    ",
    ),
    Mutant(
        "a barrier that not all threads of a block reach",
        "forward",
        "if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];\n    __syncthreads();",
        "if (threadIdx.x >= half) return;\n    parts[threadIdx.x] += parts[threadIdx.x + half];\n    __syncthreads();",
    ),
    Mutant("reads beyond the end", "forward", "i % columns + 1 < columns ? x[i + 1] : (real)0", "x[i + 1]"),
    Mutant("reads before the start", "forward", "i % columns + 1 < columns ? x[i + 1] : (real)0", "x[i - 1]"),
    Mutant(
        "a thread too many",
        "forward",
        "ELEMENT(i, n);",
        "const int i = blockIdx.x * BLOCK + threadIdx.x; if (i > n) return;",
    ),
    Mutant("the last element is left out", "forward", "ELEMENT(i, n);", "ELEMENT(i, n - 1);"),
    Mutant(
        "only the first block's part of a row is summed",
        "device_parity",
        "for (int i = threadIdx.x; i < columns; i += BLOCK) sum +=",
        "const int i = threadIdx.x; if (i + 1 < columns) sum +=",
    ),
    Mutant(
        "a shared sum starts from memory that was not cleared",
        "device_parity",
        "real sum = 0;",
        "real sum; sum = x[0];",
    ),
    Mutant(
        "the device computes another function than the CPU", "device_parity", "(real)0.3 * next", "(real)0.301 * next"
    ),
    Mutant(
        "a constant of float64 makes a kernel of float32 compute in float64", "dtypes", "(real)0.3 * next", "0.3 * next"
    ),
    Mutant("float in a kernel of float64", "gradients", "(real)0.3 * next", "0.3f * (float)next"),
    Mutant("an array of float64 on the device", "dtypes", attributes=(("forward_gpu", _array_of_float64),)),
    Mutant(
        "memory of the device that was not written yet is read", "memory", attributes=(("forward_gpu", _other_memory),)
    ),
    Mutant("a result goes through the host", "copies", attributes=(("forward_gpu", _through_the_host),)),
    Mutant("forward writes to its bottom", "forward", attributes=(("forward_gpu", _writes_bottom),)),
]
