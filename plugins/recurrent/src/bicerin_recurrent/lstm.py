"""LSTM: Long Short-Term Memory over sequences.

With x_t, h_{t-1} and the markers of `recurrent_layer`, and one step of `lstm_unit`:

    gates_t = W_xc x_t + b_c + W_static x_static + W_hc (cont_t h_{t-1})
    c_t, h_t = LSTMUnit(c_{t-1}, gates_t, cont_t)

The output is h. Hidden states: h, c. Learnable blobs: W_xc `(4 H, D)`, b_c `(4 H,)`, with a static input W_xc_static
`(4 H, D_static)`, W_hc `(4 H, H)`; the gates' order is i, f, o, g. float32 or float64.

Source: Caffe's `LSTMLayer`; Donahue et al., 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, BlobCounts, between
from bicerin_recurrent.lstm_unit import step_backward, step_forward
from bicerin_recurrent.recurrent_layer import RecurrentLayer


class LSTMLayer(RecurrentLayer):
    """See `recurrent_layer` for bottoms and tops."""

    type = "LSTM"
    counts = BlobCounts(bottom=between(2, 5), top=between(1, 3))
    allows_in_place = False
    hidden_names = ("h", "c")
    gates = 4

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self._product, self._cells, self._tanh_c = self.new_blob(), self.new_blob(), self.new_blob()
        self._h_diff, self._c_diff = self.new_blob(), self.new_blob()

    def reshape_buffers(self) -> None:
        self._product.reshape(self.streams, 4 * self.num_output)
        self._cells.reshape(self.steps + 1, self.streams, self.num_output)  # the first is that before the first step
        self._tanh_c.reshape(self.steps, self.streams, self.num_output)
        self._h_diff.reshape(self.streams, self.num_output)
        self._c_diff.reshape(self.streams, self.num_output)

    def unroll(self, cont: Any, hidden: Sequence[Any], output: Any) -> Sequence[Any]:
        xp = self.xp
        gates, conted, product = self.inputs.data, self.conted.data, self._product.data
        cells, tanh_c = self._cells.data, self._tanh_c.data
        weight = self.blobs[self.recurrent_weight].data.T
        h, cells[0] = hidden
        for t in range(self.steps):
            xp.multiply(h, cont[t], out=conted[t])
            xp.dot(conted[t], weight, out=product)
            xp.add(gates[t], product, out=gates[t])
            h = output[t]
            step_forward(xp, gates[t], cont[t], cells[t], cells[t + 1], tanh_c[t], h)
        return h, cells[self.steps]

    def unroll_back(self, cont: Any, output_diff: Any) -> None:
        xp = self.xp
        gates, gates_diff = self.inputs.data, self.inputs_diff.data
        cells, tanh_c = self._cells.data, self._tanh_c.data
        weight = self.blobs[self.recurrent_weight].data
        h_diff, c_diff = self._h_diff.data, self._c_diff.data
        h_diff.fill(0)
        c_diff.fill(0)
        for t in reversed(range(self.steps)):
            xp.add(h_diff, output_diff[t], out=h_diff)
            step_backward(xp, gates[t], cells[t], tanh_c[t], c_diff, h_diff, gates_diff[t], c_diff)
            xp.dot(gates_diff[t], weight, out=h_diff)
            xp.multiply(h_diff, cont[t], out=h_diff)
