"""Every layer keeps the layer contract, and its gradient is that of its formula."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_rcnn import cases


class TestROIPooling(LayerConformance):
    cases = cases.ROI_POOLING


class TestPSROIPooling(LayerConformance):
    cases = cases.PSROI_POOLING


class TestROIAlign(LayerConformance):
    cases = cases.ROI_ALIGN


class TestPSROIAlign(LayerConformance):
    cases = cases.PSROI_ALIGN


class TestDeformableConvolution(LayerConformance):
    cases = cases.DEFORMABLE_CONVOLUTION


class TestDeformablePSROIPooling(LayerConformance):
    cases = cases.DEFORMABLE_PSROI_POOLING


class TestDecodeBBox(LayerConformance):
    cases = cases.DECODE_BBOX + cases.DECODE_BBOX_IN_TRAINING


class TestDetectNetTransformation(LayerConformance):
    cases = cases.DETECTNET_TRANSFORMATION


class TestL1Loss(LayerConformance):
    cases = cases.L1_LOSS


class TestSmoothL1Loss(LayerConformance):
    cases = cases.SMOOTH_L1_LOSS


class TestSmoothL1LossOHEM(LayerConformance):
    cases = cases.SMOOTH_L1_LOSS_OHEM


class TestSoftmaxWithLossOHEM(LayerConformance):
    cases = cases.SOFTMAX_WITH_LOSS_OHEM


class TestBoxAnnotatorOHEM(LayerConformance):
    cases = cases.BOX_ANNOTATOR_OHEM


class TestProposal(LayerConformance):
    cases = cases.PROPOSAL
