"""What a kernel reads at places that were moved, and the gradients of the pixels and of the offsets.

x has the shape `(N, C, H, W)`, offsets `(N, D, K, 2, H', W')`, down before to the right, and columns
`(N, C, K, H', W')`: K elements of a kernel, D groups of channels. `windows` holds the columns of the kernel, and
strides, pads and dilations, down before to the right. An offset that is not a number reads 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread


def _places(offsets: np.ndarray, windows: tuple[int, ...], axis: int, size: int) -> tuple[np.ndarray, ...]:
    """Along one axis: which places are inside, the pixels before and after them, and how far they are on, 0 to 1."""
    columns, strides, pads, dilations = windows[0], windows[1:3], windows[3:5], windows[5:7]
    elements = np.arange(offsets.shape[2])
    element = elements // columns if axis == 0 else elements % columns
    steps = np.arange(offsets.shape[4 + axis]) * strides[axis] - pads[axis]
    steps = steps[:, None] if axis == 0 else steps
    at = (element[:, None, None] * dilations[axis] + steps).astype(offsets.dtype) + offsets[:, :, :, axis]
    inside = (at >= 0) & (at < size)
    at = np.where(inside, at, 0)
    before = np.floor(at).astype(np.int64)
    share = np.where(before >= size - 1, 0, at - before).astype(offsets.dtype)
    return inside, before, np.minimum(before + 1, size - 1), share


def _corners(x: Any, offsets: Any, windows: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, Any]]:
    """For each of four pixels around a place: where it is in a plane, what it counts, and how both change."""
    inside_y, top, bottom, down = _places(offsets, windows, 0, x.shape[2])
    inside_x, left, right, across = _places(offsets, windows, 1, x.shape[3])
    inside = inside_y & inside_x
    steps_y, steps_x = inside & (bottom > top), inside & (right > left)
    return [
        (
            row * x.shape[3] + column,
            np.where(inside, weight_y * weight_x, 0),
            np.where(steps_y, sign_y * weight_x, 0),
            np.where(steps_x, sign_x * weight_y, 0),
        )
        for row, weight_y, sign_y in ((top, 1 - down, -1), (bottom, down, 1))
        for column, weight_x, sign_x in ((left, 1 - across, -1), (right, across, 1))
    ]


def _pixels(x: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The pixels at places `(N, D, K, H', W')` of all channels, `(N, D, C / D, K, H', W')`."""
    number, groups = place.shape[:2]
    planes = x.reshape(number, groups, -1, x.shape[2] * x.shape[3])
    taken = np.take_along_axis(planes, place.reshape(number, groups, 1, -1), axis=3)
    return taken.reshape(*planes.shape[:3], *place.shape[2:])


def unfold_reference(x: np.ndarray, offsets: np.ndarray, windows: tuple[int, ...], columns: np.ndarray) -> None:
    total = sum(_pixels(x, place) * weight[:, :, None] for place, weight, _, _ in _corners(x, offsets, windows))
    columns[...] = np.reshape(total, columns.shape)


@part
def settle(at, size):  # type: ignore[no-untyped-def]
    """The pixel before a place that is inside, the one after it, and how far it is on, 0 to 1."""
    before = int(at)
    if before >= size - 1:
        return size - 1, size - 1, at - at
    return before, before + 1, at - np.floor(at)


@part
def unfold_channel(task, worker, x, offsets, windows, columns):  # type: ignore[no-untyped-def]
    """What a kernel reads of one channel of an image."""
    channels, height, width = x.shape[1:]
    n, c = task // channels, task % channels
    plane, moved = x[n, c], offsets[n, c // (channels // offsets.shape[1])]
    kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w = windows
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for k in range(columns.shape[2]):
        for i in range(columns.shape[3]):
            for j in range(columns.shape[4]):
                y = moved[k, 0, i, j] + x.dtype.type(i * stride_h - pad_h + k // kernel_w * dilation_h)
                z = moved[k, 1, i, j] + x.dtype.type(j * stride_w - pad_w + k % kernel_w * dilation_w)
                value = zero
                if y >= zero and z >= zero and y < height and z < width:
                    top, bottom, down = settle(y, height)
                    left, right, across = settle(z, width)
                    upper = (one - across) * plane[top, left] + across * plane[top, right]
                    lower = (one - across) * plane[bottom, left] + across * plane[bottom, right]
                    value = (one - down) * upper + down * lower
                columns[n, c, k, i, j] = value


@operation(reference=unfold_reference)
def unfold(x: Any, offsets: Any, windows: Any, columns: Any) -> None:
    """Write into `columns` what each element of the kernel reads."""
    # A place is as much work as some 8 elements elsewhere.
    spread(unfold_channel, x.shape[0] * x.shape[1], num_workers(8 * columns.size), (x, offsets, windows, columns))


@unfold.cuda
def unfold_cuda(kernels: Any, x: Any, offsets: Any, windows: Any, columns: Any) -> None:
    kernels.unfold(columns.size, x, offsets, columns, *_sizes(x, offsets), *windows)


def fold_reference(column_diff: np.ndarray, offsets: np.ndarray, windows: tuple[int, ...], x_diff: np.ndarray) -> None:
    x_diff.fill(0)
    groups = offsets.shape[1]
    grouped = column_diff.reshape(len(x_diff), groups, -1, *offsets.shape[2:3], *offsets.shape[4:])
    planes = x_diff.reshape(len(x_diff), groups, -1, x_diff.shape[2] * x_diff.shape[3])
    for place, weight, _, _ in _corners(x_diff, offsets, windows):
        for n, d, c in np.ndindex(grouped.shape[:3]):
            np.add.at(planes[n, d, c], place[n, d], grouped[n, d, c] * weight[n, d])


@part
def fold_channel(task, worker, column_diff, offsets, windows, x_diff):  # type: ignore[no-untyped-def]
    """The gradient of one channel of an image."""
    channels, height, width = x_diff.shape[1:]
    n, c = task // channels, task % channels
    plane, moved = x_diff[n, c], offsets[n, c // (channels // offsets.shape[1])]
    kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w = windows
    zero, one = x_diff.dtype.type(0), x_diff.dtype.type(1)
    plane[:] = zero
    for k in range(column_diff.shape[2]):
        for i in range(column_diff.shape[3]):
            for j in range(column_diff.shape[4]):
                y = moved[k, 0, i, j] + x_diff.dtype.type(i * stride_h - pad_h + k // kernel_w * dilation_h)
                z = moved[k, 1, i, j] + x_diff.dtype.type(j * stride_w - pad_w + k % kernel_w * dilation_w)
                if y >= zero and z >= zero and y < height and z < width:
                    diff = column_diff[n, c, k, i, j]
                    top, bottom, down = settle(y, height)
                    left, right, across = settle(z, width)
                    plane[top, left] += (one - down) * (one - across) * diff
                    plane[top, right] += (one - down) * across * diff
                    plane[bottom, left] += down * (one - across) * diff
                    plane[bottom, right] += down * across * diff


@operation(reference=fold_reference)
def fold(column_diff: Any, offsets: Any, windows: Any, x_diff: Any) -> None:
    """Write into `x_diff` the shares of all reads that a pixel counts in."""
    workers = num_workers(8 * column_diff.size)
    spread(fold_channel, x_diff.shape[0] * x_diff.shape[1], workers, (column_diff, offsets, windows, x_diff))


@fold.cuda
def fold_cuda(kernels: Any, column_diff: Any, offsets: Any, windows: Any, x_diff: Any) -> None:
    x_diff.fill(0)
    kernels.fold(column_diff.size, column_diff, offsets, x_diff, *_sizes(x_diff, offsets), *windows)


def offset_gradient_reference(
    column_diff: np.ndarray, x: np.ndarray, offsets: np.ndarray, windows: tuple[int, ...], offset_diff: np.ndarray
) -> None:
    grouped = column_diff.reshape(len(x), offsets.shape[1], -1, *offsets.shape[2:3], *offsets.shape[4:])
    offset_diff.fill(0)
    for place, _, by_y, by_x in _corners(x, offsets, windows):
        pixels = (_pixels(x, place) * grouped).sum(axis=2)
        offset_diff[:, :, :, 0] += by_y * pixels
        offset_diff[:, :, :, 1] += by_x * pixels


@part
def offset_gradient_element(task, worker, column_diff, x, offsets, windows, offset_diff):  # type: ignore[no-untyped-def]
    """The gradient of the offsets of one element of the kernel, for a group of channels of an image."""
    _, channels, height, width = x.shape
    _, groups, size = offsets.shape[:3]
    n, d, k = task // (groups * size), task // size % groups, task % size
    moved, gradient, count = offsets[n, d, k], offset_diff[n, d, k], channels // groups
    kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w = windows
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for i in range(offsets.shape[4]):
        for j in range(offsets.shape[5]):
            y = moved[0, i, j] + x.dtype.type(i * stride_h - pad_h + k // kernel_w * dilation_h)
            z = moved[1, i, j] + x.dtype.type(j * stride_w - pad_w + k % kernel_w * dilation_w)
            by_y, by_x = zero, zero
            if y >= zero and z >= zero and y < height and z < width:
                top, bottom, down = settle(y, height)
                left, right, across = settle(z, width)
                for c in range(d * count, (d + 1) * count):
                    plane, diff = x[n, c], column_diff[n, c, k, i, j]
                    upper, lower = plane[top, right] - plane[top, left], plane[bottom, right] - plane[bottom, left]
                    by_x += diff * ((one - down) * upper + down * lower)
                    before, after = plane[bottom, left] - plane[top, left], plane[bottom, right] - plane[top, right]
                    by_y += diff * ((one - across) * before + across * after)
            gradient[0, i, j], gradient[1, i, j] = by_y, by_x


@operation(reference=offset_gradient_reference)
def offset_gradient(column_diff: Any, x: Any, offsets: Any, windows: Any, offset_diff: Any) -> None:
    """Write the gradient of the offsets: how what is read changes with the place."""
    tasks = offsets.shape[0] * offsets.shape[1] * offsets.shape[2]
    arguments = (column_diff, x, offsets, windows, offset_diff)
    spread(offset_gradient_element, tasks, num_workers(8 * column_diff.size), arguments)


@offset_gradient.cuda
def offset_gradient_cuda(kernels: Any, column_diff: Any, x: Any, offsets: Any, windows: Any, offset_diff: Any) -> None:
    places = offsets.size // 2
    kernels.offset_gradient(places, column_diff, x, offsets, offset_diff, *_sizes(x, offsets), *windows)


def _sizes(x: Any, offsets: Any) -> tuple[int, ...]:
    """Channels, groups of them, elements of the kernel, rows and columns of x and of the top."""
    _, groups, size, _, rows, columns = offsets.shape
    return x.shape[1], groups, size, *x.shape[2:], rows, columns
