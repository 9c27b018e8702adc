"""What RNN and LSTM have in common: sequences, their markers, the hidden state, and all that is done at once.

Bottoms, in this order:

    x       (T, N, ...)   T time steps of N independent streams; the axes from the third on are D features
    cont    (T, N)        0 where a sequence begins, 1 where it goes on
    static  (N, ...)      optional: an input that is the same at every step
    hidden  (1, N, H)     with `expose_hidden`: each hidden state before the first step

Tops: the output `(T, N, H)` with H = `num_output`, and with `expose_hidden` each hidden state after the last step.

Without `expose_hidden` the layer keeps its hidden state: a batch goes on where the last one ended, unless `cont` says
that a sequence begins. No gradient goes back over the border of a batch; so none reaches exposed states either.

Learnable blobs: W_x `(G, D)`, b `(G,)`, with a static input W_static `(G, D_static)`, W_h `(G, H)`, and then the
layer's own; G is H or several times H.

Caffe unrolls a net of small layers in time. Here only what depends on the step before is done step by step: the product
with W_x, and that for the gradient of each weight, is one over T N rows.

Source: Caffe's `RecurrentLayer`.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, CountsProducts, Layer, between

_log = logging.getLogger("bicerin.recurrent")


class RecurrentLayer(CountsProducts, Layer):
    """Abstract. A subclass says what its hidden states are and implements `unroll` and `unroll_back`.

    Attributes:
        hidden_names: the hidden states, in the order of the exposed blobs.
        hidden: their values after the last run, `(1, N, H)` each, where they are not exposed.
        gates: G / H.
    """

    hidden_names: ClassVar[tuple[str, ...]]
    gates: ClassVar[int]

    # What a subclass implements

    @abstractmethod
    def unroll(self, cont: Any, hidden: Sequence[Any], output: Any) -> Sequence[Any]:
        """Run the steps.

        `array(self.inputs)`, `(T, N, G)`, holds W_x x + b of every step; `array(self.conted)`, `(T, N, H)`, must be
        given cont times the h that goes into every step.

        Args:
            cont: `(T, N, 1)`.
            hidden: the states before the first step, `(N, H)` each.
            output: the top, `(T, N, H)`, to write.

        Returns:
            The states after the last step, `(N, H)` each.
        """

    @abstractmethod
    def unroll_back(self, cont: Any, output_diff: Any) -> None:
        """Run the steps backward: write the gradient of `array(self.inputs)` to `array(self.inputs_diff)`."""

    def own_blobs(self) -> list[tuple[Sequence[int], Any]]:
        """The learnable blobs after W_h."""
        return []

    def reshape_buffers(self) -> None:
        """Give the layer's own buffers their shapes, from `steps`, `streams` and `num_output`."""

    # What they share

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.recurrent_param
        self.num_output: int = param.num_output
        if self.num_output == 0:
            raise ShapeError("num_output must be positive.", "Give it in recurrent_param { num_output: ... }.")
        self.expose_hidden: bool = param.expose_hidden
        exposed = len(self.hidden_names) if self.expose_hidden else 0
        BlobCounts(bottom=between(2 + exposed, 3 + exposed), top=1 + exposed).check(self.type, len(bottom), len(top))
        self.static = len(bottom) == 3 + exposed
        self.steps = bottom[0].shape[0] if bottom[0].shape else 0
        self._check_bottoms(bottom)
        self._features = [prod(bottom[0].shape[2:])]
        rows = self.gates * self.num_output
        declared = [((rows, self._features[0]), param.weight_filler), ((rows,), param.bias_filler)]
        if self.static:
            self._features.append(prod(bottom[2].shape[1:]))
            declared.append(((rows, self._features[1]), param.weight_filler))
        declared.append(((rows, self.num_output), param.weight_filler))
        self.declare_blobs(*declared, *self.own_blobs())
        self.inputs, self.inputs_diff, self.conted = self.new_blob(), self.new_blob(), self.new_blob()
        self.hidden = [self.new_blob(name=name) for name in self.hidden_names]

    @property
    def recurrent_weight(self) -> int:
        """The index of W_h among the blobs."""
        return 3 if self.static else 2

    def _check_bottoms(self, bottom: Sequence[Blob]) -> None:
        x, cont = bottom[:2]
        if x.num_axes < 3:
            raise ShapeError(
                f"bottom[0] must have at least 3 axes -- (#timesteps, #streams, ...); its shape is {x.shape}."
            )
        if x.shape[0] == 0:
            raise ShapeError("there are no time steps.")
        if x.shape[0] != self.steps:
            raise ShapeError(f"input number of timesteps changed from {self.steps} to {x.shape[0]}.")
        if cont.num_axes != 2:
            raise ShapeError(
                f"bottom[1] must have exactly 2 axes -- (#timesteps, #streams); its shape is {cont.shape}."
            )
        if cont.shape != x.shape[:2]:
            raise ShapeError(f"bottom[1] has the shape {cont.shape}, but bottom[0]'s first axes are {x.shape[:2]}.")
        if self.static and (bottom[2].num_axes < 2 or bottom[2].shape[0] != x.shape[1]):
            raise ShapeError(f"the static input must have the shape ({x.shape[1]}, ...), not {bottom[2].shape}.")

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        """Those of the products with W_x and W_h at every step, and of the one with W_static."""
        rows = self.gates * self.num_output
        static = sum(self._features[1:])
        return self.streams * rows * (self.steps * (self._features[0] + self.num_output) + static)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._check_bottoms(bottom)
        features = [prod(bottom[0].shape[2:])] + ([prod(bottom[2].shape[1:])] if self.static else [])
        if features != self._features:
            raise ShapeError(f"the input has {features} features, and the weights are for {self._features}.")
        self.streams = bottom[0].shape[1]
        shape = (1, self.streams, self.num_output)
        for blob in self.hidden:
            blob.reshape(*shape)
        for index in range(self._first_exposed, len(bottom)):
            if bottom[index].shape != shape:
                raise ShapeError(
                    f"bottom[{index}] shape must match hidden state input shape: {shape}, not {bottom[index].shape}."
                )
        rows = self.gates * self.num_output
        self.inputs.reshape(self.steps, self.streams, rows)
        self.inputs_diff.reshape(self.steps, self.streams, rows)
        self.conted.reshape(self.steps, self.streams, self.num_output)
        self.reshape_buffers()
        top[0].reshape(self.steps, self.streams, self.num_output)
        for blob in top[1:]:
            blob.reshape(*shape)

    @property
    def _first_exposed(self) -> int:
        """The index of the first bottom that is a hidden state."""
        return 3 if self.static else 2

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0 or (bottom_index == 2 and self.static)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        weights = [blob.data for blob in self.blobs]
        inputs = self.inputs.data
        x = bottom[0].data.reshape(self.steps * self.streams, self._features[0])
        xp.dot(x, weights[0].T, out=inputs.reshape(self.steps * self.streams, inputs.shape[2]))
        xp.add(inputs, weights[1], out=inputs)
        if self.static:
            static = bottom[2].data.reshape(self.streams, self._features[1])
            xp.add(inputs, xp.dot(static, weights[2].T), out=inputs)
        kept = [blob.data[0] for blob in self.hidden]
        before = [blob.data[0] for blob in bottom[self._first_exposed :]] or kept
        after = self.unroll(bottom[1].data[:, :, None], before, top[0].data)
        for target, state in zip([blob.data[0] for blob in top[1:]] or kept, after, strict=True):
            target[...] = state
        if self.param.recurrent_param.debug_info:
            self._log_sizes("Forward", [("input", inputs), ("output", top[0].data)])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        if propagate_down[1]:
            raise LayerError("Cannot backpropagate to sequence indicators.")
        self.unroll_back(bottom[1].data[:, :, None], top[0].diff)
        inputs_diff = self.inputs_diff.data
        rows = inputs_diff.reshape(self.steps * self.streams, inputs_diff.shape[2])
        x = bottom[0].data.reshape(len(rows), self._features[0])
        weights = self.blobs
        self.add_product(0, rows, x)
        if self.param_propagate_down(1):
            weights[1].diff[...] += rows.sum(axis=0)
        self.add_product(self.recurrent_weight, rows, self.conted.data.reshape(len(rows), self.num_output))
        if propagate_down[0]:
            xp.dot(rows, weights[0].data, out=bottom[0].diff.reshape(x.shape))
        if self.static:
            static = bottom[2].data.reshape(self.streams, self._features[1])
            static_rows = inputs_diff.sum(axis=0)
            self.add_product(2, static_rows, static)
            if propagate_down[2]:
                xp.dot(static_rows, weights[2].data, out=bottom[2].diff.reshape(static.shape))
        for index in range(self._first_exposed, len(bottom)):
            if propagate_down[index]:
                bottom[index].diff.fill(0)
        if self.param.recurrent_param.debug_info:
            parameters = [(f"parameter {index}", blob.diff) for index, blob in enumerate(weights)]
            self._log_sizes("Backward", [("input", inputs_diff), *parameters])

    def add_product(self, index: int, rows_diff: Any, rows: Any) -> None:
        """The gradient of y = x W^T added to that of weight `index`, if it is wanted: rows_diff^T rows."""
        if self.param_propagate_down(index):
            total = self.blobs[index].diff
            self.xp.add(total, self.xp.dot(rows_diff.T, rows), out=total)

    def _log_sizes(self, direction: str, arrays: Sequence[tuple[str, Any]]) -> None:
        """What `debug_info` asks for: mean absolute values, as Caffe's nets report them."""
        for name, array in arrays:
            size = float(self.xp.abs(array).mean()) if array.size else 0.0
            _log.info('    [%s] layer "%s", %s: %g', direction, self.name, name, size)

    def state(self) -> Mapping[str, Any] | None:
        """The hidden state, with which the next batch goes on."""
        inherited = super().state()
        if self.expose_hidden:
            return inherited
        return {**(inherited or {}), "hidden": {blob.name: blob.blob.read_only.data.tolist() for blob in self.hidden}}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        super().restore_state(state)
        for blob in self.hidden if "hidden" in state else ():
            values = np.asarray(state["hidden"][blob.name], self.dtype)
            blob.reshape(*values.shape)
            blob.blob.data[...] = values
