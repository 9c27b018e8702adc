"""Every layer keeps the layer contract."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_yolo import cases


class TestReorg(LayerConformance):
    cases = cases.REORG


class TestRegionLoss(LayerConformance):
    cases = cases.REGION_LOSS


class TestYolov3(LayerConformance):
    cases = cases.YOLOV3


class TestDetectionLoss(LayerConformance):
    cases = cases.DETECTION_LOSS


class TestYoloDetectionOutput(LayerConformance):
    cases = cases.YOLO_DETECTION_OUTPUT


class TestYolov3DetectionOutput(LayerConformance):
    cases = cases.YOLOV3_DETECTION_OUTPUT


class TestEvalDetection(LayerConformance):
    cases = cases.EVAL_DETECTION
