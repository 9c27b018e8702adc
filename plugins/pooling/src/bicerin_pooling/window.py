"""The window that slides over a plane: its size, its step, the padding around the plane, and where it stops."""

from __future__ import annotations

from typing import NamedTuple

from bicerin.errors import ShapeError


class Window(NamedTuple):
    """Sizes in pixels; `pad` is added on all four sides."""

    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int

    def within(self, height: int, width: int) -> Window:
        """The same windows of a plane, whose second is beyond it where the stride is larger than all that there is."""
        return self._replace(
            stride_h=min(self.stride_h, height + 2 * self.pad_h + self.kernel_h),
            stride_w=min(self.stride_w, width + 2 * self.pad_w + self.kernel_w),
        )

    def pooled_shape(self, height: int, width: int, ceil: bool = True) -> tuple[int, int]:
        """How many windows there are down and across, as Caffe's PoolingLayer counts them.

        With `ceil` the last window may reach over the edge. Where there is padding, a last window that would start in
        it, beyond the plane, is omitted.

        Raises:
            ShapeError: the padding is not smaller than the window, or no window fits.
        """
        if (self.pad_h or self.pad_w) and (self.pad_h >= self.kernel_h or self.pad_w >= self.kernel_w):
            raise ShapeError(
                f"the padding {self.pad_h} x {self.pad_w} must be smaller than the kernel "
                f"{self.kernel_h} x {self.kernel_w}, or a window would hold nothing but padding."
            )
        pooled = []
        for size, kernel, stride, pad in zip((height, width), self[0:2], self[2:4], self[4:6], strict=True):
            room = size + 2 * pad - kernel
            number = (-(-room // stride) if ceil else room // stride) + 1
            if (self.pad_h or self.pad_w) and (number - 1) * stride >= size + pad:
                number -= 1
            pooled.append(number)
        if min(pooled) < 1:
            raise ShapeError(
                f"the kernel {self.kernel_h} x {self.kernel_w} is larger than the bottom's {height} x {width} "
                f"with padding {self.pad_h} x {self.pad_w}, and no window fits.",
                "A smaller kernel or more padding is needed.",
            )
        return pooled[0], pooled[1]
