"""Lstm: Long Short-Term Memory in one layer. Hochreiter and Schmidhuber, 1997.

With W_x x + W_h h' + b = the inputs of the gates i, f, o, g, in this order, h' and c' being those of the step before:

    c = sigmoid(f) c' + sigmoid(i) tanh(g)      h = sigmoid(o) tanh(c)

Where a sequence begins, h' and c' are 0: at the first step, or with bottom 1 where it is 0; otherwise, a batch goes on
where the last one ended. `clipping_threshold` cuts off the gradients of the gates' inputs.

Source: the LstmLayer of CTPN's Caffe. Its gradient of W_h takes the h of the step before also where a sequence begins,
which is kept here after the first step: it is exact where sequences begin at the first step alone. On the CPU it
computes one sequence: of several, all get the h' of the first; on a GPU each has its own, as here. As there,
`batch_size` is not read: there are as many sequences as the bottom has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, CountsProducts, Layer, between
from bicerin_recurrent.lstm_unit import step_backward, step_forward


class LstmLayer(CountsProducts, Layer):
    """Bottom 0: `(T, N, ...)`: T time steps of N sequences. Bottom 1, optional: markers, `(T, N)`: 0 where a sequence
    begins, 1 where it goes on. Top: h, `(T, N, num_output)`. Learnable blobs: W_x `(4 H, I)`, W_h `(4 H, H)`, b
    `(4 H,)`.
    """

    type = "Lstm"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.lstm_param
        self.num_output: int = param.num_output
        if self.num_output < 1:
            raise ShapeError("num_output must be > 0", "Give it in lstm_param { num_output: ... }.")
        self.limit: float = param.clipping_threshold
        if self.limit < 0:
            raise LayerError(f"clipping_threshold must be >= 0, not {self.limit:g}.")
        self._require_sequences(bottom)
        self.features = prod(bottom[0].shape[2:])
        rows = 4 * self.num_output
        self.declare_blobs(
            ((rows, self.features), param.weight_filler),
            ((rows, self.num_output), param.weight_filler),
            ((rows,), param.bias_filler),
        )
        self.gates, self.gates_diff = self.new_blob(), self.new_blob()
        #: The h of the step before, after the first step whether it counts or not.
        self.before = self.new_blob()
        self.markers, self.cells, self.tanh_c = self.new_blob(), self.new_blob(), self.new_blob()
        #: h and c after the last step of the last batch.
        self.hidden = [self.new_blob(name=name) for name in ("h", "c")]

    def _require_sequences(self, bottom: Sequence[Blob]) -> None:
        if bottom[0].num_axes < 2:
            raise ShapeError(f"bottom 0 must have the shape (T, N, ...), not {bottom[0].shape}.")
        if len(bottom) > 1 and bottom[1].shape != bottom[0].shape[:2]:
            raise ShapeError(f"bottom 1 must have the shape {bottom[0].shape[:2]}, not {bottom[1].shape}.")

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return self.steps * self.sequences * 4 * self.num_output * (self.features + self.num_output)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._require_sequences(bottom)
        if prod(bottom[0].shape[2:]) != self.features:
            raise ShapeError(
                f"the input has {prod(bottom[0].shape[2:])} features; the weights are for {self.features}."
            )
        self.steps, self.sequences = bottom[0].shape[:2]
        shape = (self.sequences, self.num_output)
        for blob in (self.gates, self.gates_diff):
            blob.reshape(self.steps, self.sequences, 4 * self.num_output)
        for blob in (self.before, self.tanh_c, top[0]):
            blob.reshape(self.steps, *shape)
        self.cells.reshape(self.steps + 1, *shape)  # the first is that before the first step
        self.markers.reshape(self.steps, self.sequences, 1)
        for blob in self.hidden:
            blob.reshape(*shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        gates, before, markers = self.gates.data, self.before.data, self.markers.data
        cells, tanh_c, y = self.cells.data, self.tanh_c.data, top[0].data
        h, c = (blob.data for blob in self.hidden)
        if len(bottom) > 1:
            markers[...] = (bottom[1].data != 0)[:, :, None]
        else:
            markers.fill(1)
            markers[:1] = 0
            h.fill(0)
            c.fill(0)
        weights, recurrent, bias = (blob.data for blob in self.blobs)
        rows = gates.reshape(self.steps * self.sequences, gates.shape[2])
        xp.dot(bottom[0].data.reshape(len(rows), self.features), weights.T, out=rows)
        xp.add(gates, bias, out=gates)
        cells[0] = c
        state = h
        for t in range(self.steps):
            conted = state * markers[t]
            before[t] = state if t else conted
            gates[t] += xp.dot(conted, recurrent.T)
            step_forward(xp, gates[t], markers[t], cells[t], cells[t + 1], tanh_c[t], y[t])
            state = y[t]
        if self.steps:
            h[...] = y[-1]
            c[...] = cells[-1]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        if len(bottom) > 1 and propagate_down[1]:
            raise LayerError("Cannot backpropagate to sequence indicators.")
        gates, gates_diff, markers = self.gates.data, self.gates_diff.data, self.markers.data
        cells, tanh_c, y_diff = self.cells.data, self.tanh_c.data, top[0].diff
        weights, recurrent, _ = (blob.data for blob in self.blobs)
        h_diff = xp.zeros((self.sequences, self.num_output), self.dtype)
        c_diff = xp.zeros_like(h_diff)
        for t in reversed(range(self.steps)):
            xp.add(h_diff, y_diff[t], out=h_diff)
            step_backward(xp, gates[t], cells[t], tanh_c[t], c_diff, h_diff, gates_diff[t], c_diff)
            if self.limit:
                xp.clip(gates_diff[t], -self.limit, self.limit, out=gates_diff[t])
            xp.dot(gates_diff[t], recurrent, out=h_diff)
            xp.multiply(h_diff, markers[t], out=h_diff)
        rows = gates_diff.reshape(self.steps * self.sequences, gates_diff.shape[2])
        x = bottom[0].data.reshape(len(rows), self.features)
        for index, inputs in enumerate((x, self.before.data.reshape(len(rows), self.num_output))):
            if self.param_propagate_down(index):
                self.blobs[index].diff[...] += xp.dot(rows.T, inputs)
        if self.param_propagate_down(2):
            self.blobs[2].diff[...] += rows.sum(axis=0)
        if propagate_down[0]:
            xp.dot(rows, weights, out=bottom[0].diff.reshape(x.shape))

    def state(self) -> Mapping[str, Any] | None:
        """The hidden state, with which the next batch goes on, where there are markers."""
        hidden = {blob.name: blob.blob.read_only.data.tolist() for blob in self.hidden}
        return {**(super().state() or {}), "hidden": hidden}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        super().restore_state(state)
        for blob in self.hidden if "hidden" in state else ():
            values = np.asarray(state["hidden"][blob.name], self.dtype)
            blob.reshape(*values.shape)
            blob.blob.data[...] = values
