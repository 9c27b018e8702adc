"""RNN: a recurrent network of tanh units over sequences, and a tanh output of each hidden state.

With x_t, h_{t-1} and the markers of `recurrent_layer`:

    h_t = tanh(W_xh x_t + b_h + W_static x_static + W_hh (cont_t h_{t-1}))
    o_t = tanh(W_ho h_t + b_o)

The output is o. Hidden state: h. Learnable blobs: W_xh `(H, D)`, b_h `(H,)`, with a static input W_xh_static
`(H, D_static)`, W_hh `(H, H)`, W_ho `(H, H)`, b_o `(H,)`. float32 or float64.

Source: Caffe's `RNNLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, BlobCounts, between
from bicerin_recurrent.recurrent_layer import RecurrentLayer


class RNNLayer(RecurrentLayer):
    """See `recurrent_layer` for bottoms and tops."""

    type = "RNN"
    counts = BlobCounts(bottom=between(2, 4), top=between(1, 2))
    allows_in_place = False
    hidden_names = ("h",)
    gates = 1

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self._product, self._output, self._output_diff = self.new_blob(), self.new_blob(), self.new_blob()
        self._all_h_diff, self._h_diff = self.new_blob(), self.new_blob()

    def own_blobs(self) -> list[tuple[Sequence[int], Any]]:
        param = self.param.recurrent_param
        size = self.num_output
        return [((size, size), param.weight_filler), ((size,), param.bias_filler)]

    def reshape_buffers(self) -> None:
        for blob in (self._product, self._h_diff):
            blob.reshape(self.streams, self.num_output)
        for blob in (self._output, self._output_diff, self._all_h_diff):
            blob.reshape(self.steps * self.streams, self.num_output)

    def unroll(self, cont: Any, hidden: Sequence[Any], output: Any) -> Sequence[Any]:
        xp = self.xp
        hiddens, conted, product = self.inputs.data, self.conted.data, self._product.data
        recurrent, output_weight, output_bias = self._own_weights()
        (h,) = hidden
        for t in range(self.steps):
            xp.multiply(h, cont[t], out=conted[t])
            xp.dot(conted[t], recurrent.data.T, out=product)
            h = hiddens[t]
            xp.add(h, product, out=h)
            xp.tanh(h, out=h)
        kept = self._output.data  # apart from the top, which a layer in place may change before backward
        xp.dot(hiddens.reshape(kept.shape), output_weight.data.T, out=kept)
        xp.add(kept, output_bias.data, out=kept)
        xp.tanh(kept, out=kept)
        output[...] = kept.reshape(output.shape)
        return (h,)

    def unroll_back(self, cont: Any, output_diff: Any) -> None:
        xp = self.xp
        hiddens, inputs_diff = self.inputs.data, self.inputs_diff.data
        recurrent, output_weight, output_bias = self._own_weights()
        kept, rows = self._output.data, self._output_diff.data
        xp.multiply(output_diff.reshape(rows.shape), 1 - kept * kept, out=rows)
        self.add_product(self.recurrent_weight + 1, rows, hiddens.reshape(rows.shape))
        if self.param_propagate_down(self.recurrent_weight + 2):
            output_bias.diff[...] += rows.sum(axis=0)
        from_output = self._all_h_diff.data
        xp.dot(rows, output_weight.data, out=from_output)
        from_output = from_output.reshape(hiddens.shape)
        h_diff = self._h_diff.data
        h_diff.fill(0)
        for t in reversed(range(self.steps)):
            xp.add(h_diff, from_output[t], out=h_diff)
            xp.multiply(h_diff, 1 - hiddens[t] * hiddens[t], out=inputs_diff[t])
            xp.dot(inputs_diff[t], recurrent.data, out=h_diff)
            xp.multiply(h_diff, cont[t], out=h_diff)

    def _own_weights(self) -> Sequence[Any]:
        """W_hh, W_ho and b_o."""
        return self.blobs[self.recurrent_weight :]
