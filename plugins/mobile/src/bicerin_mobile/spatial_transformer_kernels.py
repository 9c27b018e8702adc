"""Bilinear samples of images (N, C, H, W) at places (N, P, 2), row and column: (N, C, P). Beyond the borders is 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread

FAR = 1e9


def _corners(xp: Any, places: Any, height: int, width: int) -> Any:
    """Of each of the 4 pixels around each place: its row and column, within the image, the shares of its row and of its
    column, and their derivatives by the place; shares are 0 where it is outside."""
    limited = xp.clip(xp.where(places == places, places, -FAR), -FAR, FAR)
    first = xp.floor(limited)
    part_ = (places - first).astype(places.dtype)
    for down in (0, 1):
        for right in (0, 1):
            row, column = (first[..., axis].astype(np.int64) + step for axis, step in ((0, down), (1, right)))
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            share_row = part_[..., 0] if down else 1 - part_[..., 0]
            share_column = part_[..., 1] if right else 1 - part_[..., 1]
            row, column = xp.clip(row, 0, height - 1), xp.clip(column, 0, width - 1)
            yield row * width + column, inside, share_row, share_column, 2 * down - 1, 2 * right - 1


def _flat(x: Any) -> Any:
    """(N, C, H · W)."""
    number, channels, height, width = x.shape
    return x.reshape(number, channels, height * width)


def sample_array(xp: Any, x: Any, places: Any, y: Any) -> None:
    flat = _flat(x)
    y.fill(0)
    for at, inside, share_row, share_column, _, _ in _corners(xp, places, *x.shape[2:]):
        weight = xp.where(inside, share_row * share_column, 0)[:, None]
        y += weight * xp.take_along_axis(flat, xp.broadcast_to(at[:, None], y.shape), axis=2)


@part
def sample_plane(unit: Any, worker: Any, x: Any, places: Any, y: Any) -> None:
    channels = y.shape[1]
    plane, place, out = (
        x[unit // channels, unit % channels],
        places[unit // channels],
        y[unit // channels, unit % channels],
    )
    height, width = plane.shape
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for p in range(out.size):
        row, column = place[p, 0], place[p, 1]
        total = zero
        if row > -1 and row < height and column > -1 and column < width:
            i, j = np.int64(np.floor(row)), np.int64(np.floor(column))
            down, right = row - x.dtype.type(i), column - x.dtype.type(j)
            if i >= 0 and j >= 0:
                total += (one - down) * (one - right) * plane[i, j]
            if i + 1 < height and j >= 0:
                total += down * (one - right) * plane[i + 1, j]
            if i >= 0 and j + 1 < width:
                total += (one - down) * right * plane[i, j + 1]
            if i + 1 < height and j + 1 < width:
                total += down * right * plane[i + 1, j + 1]
        out[p] = total


@operation(array=sample_array)
def sample(x: Any, places: Any, y: Any) -> None:
    """Write the samples of `x` into `y`."""
    spread(sample_plane, y.shape[0] * y.shape[1], num_workers(y.size), (x, places, y))


@sample.cuda
def sample_cuda(kernels: Any, x: Any, places: Any, y: Any) -> None:
    kernels.sample(y.size, x, places, y, *x.shape[1:], y.shape[2])


def spread_gradient_array(xp: Any, y_diff: Any, places: Any, x_diff: Any) -> None:
    flat = _flat(x_diff)
    flat.fill(0)
    items, channels = (xp.arange(length) for length in flat.shape[:2])
    for at, inside, share_row, share_column, _, _ in _corners(xp, places, *x_diff.shape[2:]):
        weight = xp.where(inside, share_row * share_column, 0)[:, None]
        index = (items[:, None, None], channels[:, None], at[:, None])
        xp.add.at(flat, index, weight * y_diff)


@part
def spread_plane(unit: Any, worker: Any, y_diff: Any, places: Any, x_diff: Any) -> None:
    channels = y_diff.shape[1]
    diff, place = y_diff[unit // channels, unit % channels], places[unit // channels]
    plane = x_diff[unit // channels, unit % channels]
    height, width = plane.shape
    one = x_diff.dtype.type(1)
    plane[:, :] = 0
    for p in range(diff.size):
        row, column = place[p, 0], place[p, 1]
        if not (row > -1 and row < height and column > -1 and column < width):
            continue
        i, j = np.int64(np.floor(row)), np.int64(np.floor(column))
        down, right = row - x_diff.dtype.type(i), column - x_diff.dtype.type(j)
        if i >= 0 and j >= 0:
            plane[i, j] += (one - down) * (one - right) * diff[p]
        if i + 1 < height and j >= 0:
            plane[i + 1, j] += down * (one - right) * diff[p]
        if i >= 0 and j + 1 < width:
            plane[i, j + 1] += (one - down) * right * diff[p]
        if i + 1 < height and j + 1 < width:
            plane[i + 1, j + 1] += down * right * diff[p]


@operation(array=spread_gradient_array)
def spread_gradient(y_diff: Any, places: Any, x_diff: Any) -> None:
    """Write what each sample of `y_diff` gives to the pixels around it into `x_diff`."""
    spread(spread_plane, y_diff.shape[0] * y_diff.shape[1], num_workers(y_diff.size), (y_diff, places, x_diff))


@spread_gradient.cuda
def spread_gradient_cuda(kernels: Any, y_diff: Any, places: Any, x_diff: Any) -> None:
    x_diff.fill(0)
    kernels.spread_gradient(y_diff.size, y_diff, places, x_diff, *x_diff.shape[1:], y_diff.shape[2])


def place_gradient_array(xp: Any, x: Any, y_diff: Any, places: Any, moves: Any) -> None:
    flat = _flat(x)
    moves.fill(0)
    for at, inside, share_row, share_column, down, right in _corners(xp, places, *x.shape[2:]):
        values = xp.take_along_axis(flat, xp.broadcast_to(at[:, None], y_diff.shape), axis=2)
        along = xp.where(inside, (values * y_diff).sum(axis=1), 0)
        moves[..., 0] += down * share_column * along
        moves[..., 1] += right * share_row * along


@part
def place_gradient_of_item(item: Any, worker: Any, x: Any, y_diff: Any, places: Any, moves: Any) -> None:
    height, width = x.shape[2], x.shape[3]
    place, one = places[item], x.dtype.type(1)
    moves[item] = 0
    for channel in range(x.shape[1]):
        plane, diff = x[item, channel], y_diff[item, channel]
        for p in range(diff.size):
            row, column = place[p, 0], place[p, 1]
            if not (row > -1 and row < height and column > -1 and column < width):
                continue
            i, j = np.int64(np.floor(row)), np.int64(np.floor(column))
            down, right = row - x.dtype.type(i), column - x.dtype.type(j)
            for corner in range(4):
                below, beside = corner // 2, corner % 2
                if i + below < 0 or i + below >= height or j + beside < 0 or j + beside >= width:
                    continue
                value = plane[i + below, j + beside] * diff[p]
                share_row = down if below else one - down
                share_column = right if beside else one - right
                moves[item, p, 0] += value * share_column if below else -value * share_column
                moves[item, p, 1] += value * share_row if beside else -value * share_row


@operation(array=place_gradient_array)
def place_gradient(x: Any, y_diff: Any, places: Any, moves: Any) -> None:
    """Write the derivative by each place's row and column, summed over the channels, into `moves`, (N, P, 2)."""
    spread(place_gradient_of_item, len(x), num_workers(y_diff.size), (x, y_diff, places, moves))


@place_gradient.cuda
def place_gradient_cuda(kernels: Any, x: Any, y_diff: Any, places: Any, moves: Any) -> None:
    kernels.place_gradient(moves.size // 2, x, y_diff, places, moves, *x.shape[1:], y_diff.shape[2])
