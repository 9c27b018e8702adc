"""Bands: how rows of the input lie in scratch memory for a convolution that reads them as vectors.

A band is a run of output rows, with the input rows that they meet. Each of those is laid out with its padding, so that
a vector of neighbouring outputs meets a vector of neighbouring elements at each tap. At a stride there is a stretch of
the row for each remainder of a column by the stride, in which what neighbours meet are neighbours again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bicerin_convolution.taps import Taps


@dataclass(frozen=True)
class Bands:
    """The layout of one walk.

    A vector of outputs is met at tap (i, j) by the vector that starts, in the scratch memory of a channel, at
    `slots[o, i] * pitch + column of the output + columns[j]`.

    Attributes:
        outputs: `(B + 1,)`, where in `Taps.out_rows` each band starts.
        starts: `(B + 1,)`, where in `sources` each band starts.
        sources: the input rows of each band; in scratch memory they follow each other, after a row of zeros.
        slots: `(O, I)`, the place in its band of the input row that tap row i of output row o meets, in rows.
        columns: `(J,)`.
        shifts: for each stretch of a row, the input column of its first element; the next is `stride` further on.
        stretch, pitch: elements of a stretch and of a row.
        plane: elements of the scratch memory of a channel.
        vectors: how many make an output row.
    """

    outputs: np.ndarray
    starts: np.ndarray
    sources: np.ndarray
    slots: np.ndarray
    columns: np.ndarray
    shifts: np.ndarray
    stretch: int
    pitch: int
    plane: int
    vectors: int

    @classmethod
    def of(cls, taps: Taps, lanes: int, size: int) -> Bands:
        """The bands of a walk for vectors of so many elements, each of about `size` elements, or of one output row."""
        vectors = -(-taps.out_columns[2] // lanes)
        least = int(taps.columns.min(initial=0))
        remainders, places = np.unique((taps.columns - least) % taps.stride, return_inverse=True)
        steps = (taps.columns - least) // taps.stride
        stretch = vectors * lanes + int(steps.max(initial=0))
        pitch = max(1, len(remainders)) * stretch
        rows = taps.rows.T  # (O, I)
        outputs, starts, sources, slots = [0], [0], [], np.zeros(rows.shape, np.intp)
        most = 1
        first = 0
        while first < len(rows):
            last = first + 1
            met = _met(rows[first:last])
            while last < len(rows):
                more = np.union1d(met, _met(rows[last : last + 1]))
                if (len(more) + 1) * pitch > size:
                    break
                met, last = more, last + 1
            found = rows[first:last] >= 0
            slots[first:last][found] = np.searchsorted(met, rows[first:last][found]) + 1
            sources.append(met)
            outputs.append(last)
            starts.append(starts[-1] + len(met))
            most = max(most, len(met) + 1)
            first = last
        return cls(
            np.array(outputs, np.intp),
            np.array(starts, np.intp),
            np.concatenate([*sources, np.zeros(0, np.intp)]).astype(np.intp),
            slots,
            (places * stretch + steps).astype(np.intp),
            (remainders + least).astype(np.intp),
            stretch,
            pitch,
            most * pitch,
            vectors,
        )


def _met(rows: np.ndarray) -> np.ndarray:
    return np.unique(rows[rows >= 0])
