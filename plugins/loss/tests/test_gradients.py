"""The layer contract and every gradient."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.testing import LayerConformance, check_gradient
from bicerin_loss import cases

RANDOM = np.random.default_rng(5)


class TestSoftmax(LayerConformance):
    cases = cases.SOFTMAX


class TestSoftmaxWithLoss(LayerConformance):
    cases = cases.SOFTMAX_WITH_LOSS


class TestWeightedSoftmaxWithLoss(LayerConformance):
    cases = cases.WEIGHTED_SOFTMAX_WITH_LOSS


class TestMulticlassCrossEntropyLoss(LayerConformance):
    cases = cases.MULTICLASS_CROSS_ENTROPY_LOSS


class TestInfogainLoss(LayerConformance):
    cases = cases.INFOGAIN_LOSS


class TestEuclideanLoss(LayerConformance):
    cases = cases.EUCLIDEAN_LOSS


class TestHingeLoss(LayerConformance):
    cases = cases.HINGE_LOSS


class TestSigmoidCrossEntropyLoss(LayerConformance):
    cases = cases.SIGMOID_CROSS_ENTROPY_LOSS


class TestMultinomialLogisticLoss(LayerConformance):
    cases = cases.MULTINOMIAL_LOGISTIC_LOSS


class TestContrastiveLoss(LayerConformance):
    cases = cases.CONTRASTIVE_LOSS


class TestAccuracy(LayerConformance):
    cases = cases.ACCURACY


@pytest.mark.parametrize("margin", [0.1, 3, 20])
def test_contrastive_loss(margin: float, device: str) -> None:
    # Caffe adds 1e-4 to the distance that the gradient is divided by, so it is that much too small.
    definition = f'type: "ContrastiveLoss" contrastive_loss_param {{ margin: {margin} }}'
    inputs = [RANDOM.uniform(-2, 2, (6, 3)), RANDOM.uniform(-2, 2, (6, 3)), RANDOM.integers(0, 2, 6)]
    check_gradient(definition, inputs, tolerance=3e-4, device=device)
