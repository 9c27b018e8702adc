"""LSTMUnit: one time step of a Long Short-Term Memory, after its matrix products.

From the cell c' of the step before, the gates' inputs and the marker `cont` of each stream:

    i = sigmoid(x_i)    f = cont sigmoid(x_f)    o = sigmoid(x_o)    g = tanh(x_g)
    c = f c' + i g      h = o tanh(c)

`cont` is 0 where a sequence begins, so that the cell starts anew, and 1 where it goes on. Bottoms: c' `(1, N, H)`, x
`(1, N, 4 H)` in the order i, f, o, g, cont `(1, N)`; tops: c and h, `(1, N, H)`. float32 or float64.

The gradient of x_f is taken as f (1 - f), which is exact for markers of 0 and 1.

Source: Caffe's `LSTMUnitLayer`; Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


def step_forward(xp: Any, gates: Any, cont: Any, previous: Any, c: Any, tanh_c: Any, h: Any) -> None:
    """Write c, tanh(c) and h.

    Args:
        gates: `(N, 4 H)`, the inputs of i, f, o, g; on return their values.
        cont: `(N, 1)`.
        previous: the cell before, `(N, H)`, as c, tanh_c and h.
    """
    size = c.shape[1]
    sigmoids, g = gates[:, : 3 * size], gates[:, 3 * size :]
    xp.negative(sigmoids, out=sigmoids)
    xp.exp(sigmoids, out=sigmoids)  # may become infinite, and 1 / (1 + exp(-x)) is then 0, as it should be
    xp.add(sigmoids, 1, out=sigmoids)
    xp.reciprocal(sigmoids, out=sigmoids)
    xp.tanh(g, out=g)
    i, f, o = sigmoids[:, :size], sigmoids[:, size : 2 * size], sigmoids[:, 2 * size :]
    xp.multiply(f, cont, out=f)
    xp.multiply(i, g, out=h)
    xp.multiply(f, previous, out=c)
    xp.add(c, h, out=c)
    xp.tanh(c, out=tanh_c)
    xp.multiply(o, tanh_c, out=h)


def step_backward(
    xp: Any, gates: Any, previous: Any, tanh_c: Any, c_diff: Any, h_diff: Any, gates_diff: Any, previous_diff: Any
) -> None:
    """Write the gradients of the gates' inputs and of the cell before.

    Args:
        gates: the gates' values, as `step_forward` left them.
        c_diff, h_diff: `(N, H)`. `previous_diff` may be `c_diff`.
        gates_diff: `(N, 4 H)`, to write.
    """
    size = tanh_c.shape[1]
    i, f, o, g = (gates[:, k * size : (k + 1) * size] for k in range(4))
    i_diff, f_diff, o_diff, g_diff = (gates_diff[:, k * size : (k + 1) * size] for k in range(4))
    xp.multiply(h_diff, o, out=g_diff)
    xp.multiply(g_diff, 1 - tanh_c * tanh_c, out=g_diff)
    cell_diff = g_diff + c_diff
    xp.multiply(cell_diff, f, out=previous_diff)
    xp.multiply(cell_diff * g, i * (1 - i), out=i_diff)
    xp.multiply(cell_diff * previous, f * (1 - f), out=f_diff)
    xp.multiply(h_diff * tanh_c, o * (1 - o), out=o_diff)
    xp.multiply(cell_diff * i, 1 - g * g, out=g_diff)


class LSTMUnitLayer(Layer):
    """Bottoms: c', x, cont. Tops: c, h. The markers take no gradient."""

    type = "LSTMUnit"
    counts = BlobCounts(bottom=3, top=2)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._gates, self._tanh_c = self.new_blob(), self.new_blob()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for index, (blob, axes) in enumerate(zip(bottom, (3, 3, 2), strict=True)):
            if blob.num_axes != axes or blob.shape[:2] != (1, *bottom[0].shape[1:2]):
                raise ShapeError(
                    f"bottom {index} has the shape {blob.shape}.",
                    "The bottoms are the cell (1, N, H), the gates (1, N, 4 H) and the markers (1, N).",
                )
        size = bottom[0].shape[2]
        if bottom[1].shape[2] != 4 * size:
            raise ShapeError(f"a cell of {size} needs gates of {4 * size}, not {bottom[1].shape[2]}.")
        for blob in (*top, self._tanh_c):
            blob.reshape_like(bottom[0])
        self._gates.reshape_like(bottom[1])

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 2

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        gates, tanh_c = self._gates.data, self._tanh_c.data
        gates[...] = bottom[1].data
        step_forward(
            xp, gates[0], bottom[2].data[0][:, None], bottom[0].data[0], top[0].data[0], tanh_c[0], top[1].data[0]
        )

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        if propagate_down[2]:
            raise LayerError("Cannot backpropagate to sequence indicators.")
        gates, tanh_c = self._gates.data, self._tanh_c.data
        previous_diff, gates_diff = (
            blob.diff if wanted else xp.empty_like(blob.data)
            for blob, wanted in zip(bottom[:2], propagate_down, strict=False)
        )
        step_backward(
            xp,
            gates[0],
            bottom[0].data[0],
            tanh_c[0],
            top[0].diff[0],
            top[1].diff[0],
            gates_diff[0],
            previous_diff[0],
        )
