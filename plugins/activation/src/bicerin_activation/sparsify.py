"""Sparsify: y = x where |x| > thre, 0 elsewhere, and a pull towards 0: an L1 norm of activations in the gradient.

Bottom and top have any shape, the same.

Source: wenwei202's `SparsifyLayer` (Wen et al., 2016). As there, dx = dy + coef · sign(x) for every x, those that
became 0 too; thus the pull is that of the penalty coef · Σ |x|, which the loss does not show.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, NeuronLayer, Operations

_log = logging.getLogger("bicerin.activation")


class SparsifyLayer(NeuronLayer):
    """`thre` and `coef` are at least 0."""

    type = "Sparsify"
    operations = Operations("sparsify_kernels")
    keeps_bottom = True

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.sparsify_param
        self.coefficient: float = param.coef
        self.threshold: float = param.thre
        for name, value in (("coef", self.coefficient), ("thre", self.threshold)):
            if not value >= 0:
                raise LayerError(f"{name} must be at least 0, not {value:g}.")
        if param.display:
            _log.warning('layer "%s": display is not supported; nothing is written at each pass.', self.name)

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), self.threshold, y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(x.reshape(-1), self.coefficient, y_diff.reshape(-1), x_diff.reshape(-1))
