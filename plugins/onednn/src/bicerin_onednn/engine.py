"""The engine `onednn`, which a prototxt calls MKLDNN: forward passes at TEST and training, in float32 on the CPU."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bicerin.layer import Context, Engine, Phase
from bicerin_onednn.library import OneDNNError, library


class OneDNN(Engine):
    """Convolutions, and the gradients of inner products, are the library's wherever it is the faster; other layers only
    where their bottoms already are in one of its layouts, so that those stay from one convolution to the next.
    """

    name = "onednn"
    aliases = ("MKLDNN",)
    layers: ClassVar[dict[str, str]] = {
        "AbsVal": "bicerin_onednn.neurons:ArrangedAbsValLayer",
        "BatchNorm": "bicerin_onednn.affine:ArrangedBatchNormLayer",
        "Bias": "bicerin_onednn.affine:ArrangedBiasLayer",
        "Clip": "bicerin_onednn.neurons:ArrangedClipLayer",
        "Concat": "bicerin_onednn.concat:OneDNNConcatLayer",
        "Convolution": "bicerin_onednn.convolution:OneDNNConvolutionLayer",
        "ELU": "bicerin_onednn.neurons:ArrangedELULayer",
        "Eltwise": "bicerin_onednn.eltwise:OneDNNEltwiseLayer",
        "LRN": "bicerin_onednn.lrn:OneDNNLRNLayer",
        "Pooling": "bicerin_onednn.pooling:OneDNNPoolingLayer",
        "Power": "bicerin_onednn.neurons:ArrangedPowerLayer",
        "ReLU": "bicerin_onednn.neurons:ArrangedReLULayer",
        "Scale": "bicerin_onednn.affine:ArrangedScaleLayer",
        "Sigmoid": "bicerin_onednn.neurons:ArrangedSigmoidLayer",
        "Swish": "bicerin_onednn.neurons:ArrangedSwishLayer",
        "TanH": "bicerin_onednn.neurons:ArrangedTanHLayer",
    }

    trained: ClassVar[dict[str, str]] = {
        "BatchNorm": "bicerin_onednn.trained_batch_norm:TrainedBatchNormLayer",
        "Concat": "bicerin_onednn.trained_layers:TrainedConcatLayer",
        "Convolution": "bicerin_onednn.trained_convolution:TrainedConvolutionLayer",
        "Eltwise": "bicerin_onednn.trained_layers:TrainedEltwiseLayer",
        "InnerProduct": "bicerin_onednn.trained_inner_product:TrainedInnerProductLayer",
        "Pooling": "bicerin_onednn.trained_pooling:TrainedPoolingLayer",
        "ReLU": "bicerin_onednn.trained_layers:TrainedReLULayer",
        "Split": "bicerin_onednn.trained_layers:TrainedSplitLayer",
    }

    def place(self, layer_type: str, context: Context) -> str | None:
        return (self.trained if context.phase is Phase.TRAIN else self.layers).get(layer_type)

    def why_not(self, context: Context) -> str | None:
        if not context.device.is_host:
            return f"it computes on the CPU, not on {context.device}"
        if context.dtype != np.float32:
            return "it computes in float32"
        try:
            library()
        except OneDNNError as error:
            return str(error)
        return None
