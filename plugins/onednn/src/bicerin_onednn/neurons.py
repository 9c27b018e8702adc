"""Element-wise layers, in whatever layout their bottom is."""

from __future__ import annotations

from bicerin_activation.absval import AbsValLayer
from bicerin_activation.clip import ClipLayer
from bicerin_activation.elu import ELULayer
from bicerin_activation.power import PowerLayer
from bicerin_activation.relu import ReLULayer
from bicerin_activation.sigmoid import SigmoidLayer
from bicerin_activation.swish import SwishLayer
from bicerin_activation.tanh import TanHLayer
from bicerin_onednn.arranged import ArrangedNeuronLayer


class ArrangedAbsValLayer(ArrangedNeuronLayer, AbsValLayer):
    """y = |x|."""


class ArrangedClipLayer(ArrangedNeuronLayer, ClipLayer):
    """y = min(max(x, least), most)."""


class ArrangedELULayer(ArrangedNeuronLayer, ELULayer):
    """The exponential linear unit."""


class ArrangedPowerLayer(ArrangedNeuronLayer, PowerLayer):
    """y = (shift + scale * x)^power."""


class ArrangedReLULayer(ArrangedNeuronLayer, ReLULayer):
    """The rectifier."""


class ArrangedSigmoidLayer(ArrangedNeuronLayer, SigmoidLayer):
    """y = 1 / (1 + exp(-x))."""


class ArrangedSwishLayer(ArrangedNeuronLayer, SwishLayer):
    """y = x / (1 + exp(-beta * x))."""


class ArrangedTanHLayer(ArrangedNeuronLayer, TanHLayer):
    """y = tanh(x)."""
