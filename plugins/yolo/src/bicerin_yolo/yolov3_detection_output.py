"""Yolov3DetectionOutput: the detections of YOLO 3, of all of its maps. Redmon and Farhadi, 2018.

Each anchor of each place gives a box, decoded as Yolov3 does, for each class of which the sigmoid, times that of the
objectness, is more than `confidence_threshold`. With `gaussian_box` each of a box's four numbers is followed by its
deviation, and the objectness is multiplied by 1 less the mean of the sigmoids of the four (Choi et al., "Gaussian
YOLOv3", 2019). Of boxes of one image that overlap by `nms_threshold` or more, whatever their classes, only the best
stays. Label 0 is the background.

Source: the Yolov3DetectionOutputLayer of MobileNet-YOLO. There, all images of a batch go into one list, in which they
suppress each other, under the number 0; here each has its own number and list. Its code of `gaussian_box` for the CPU
reads no objectness; here it is as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, Operations, at_least
from bicerin_yolo.boxes_kernels import sigmoids
from bicerin_yolo.detections import DetectionsLayer
from bicerin_yolo.object_loss import anchor_sizes


class Yolov3DetectionOutputLayer(DetectionsLayer):
    """Bottoms: `mask_group_num` maps of predictions, `(N, num_box (5 + num_classes), H, W)`, 9 in place of 5 with
    `gaussian_box`. Top: `(1, 1, D, 7)`: rows
    of image, label, score, xmin, ymin, xmax, ymax, as parts of the image, by image, the best score first. Where nothing
    is found, one row for each image: its number and -1 six times.
    """

    type = "Yolov3DetectionOutput"
    counts = BlobCounts(bottom=at_least(1), top=1)
    operations = Operations("boxes_kernels", "detections_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        param = self.param.yolov3_detection_output_param
        self.gaussian: bool = param.gaussian_box
        self.first_class = 9 if self.gaussian else 5
        for name in ("num_classes", "num_box"):
            if getattr(param, name) < 1:
                raise LayerError(f"{name} must be > 0")
        if param.mask_group_num != len(bottom):
            raise LayerError(f"mask_group_num is {param.mask_group_num}, but there are {len(bottom)} bottoms.")
        self.num_classes: int = param.num_classes
        self.confidence_threshold: float = param.confidence_threshold
        self.nms_threshold: float = param.nms_threshold
        sizes = anchor_sizes(param.biases, 1, "pixels of the image")
        mask, scales = list(param.mask), list(param.anchors_scale)
        if len(mask) != param.num_box * len(bottom) or max(mask, default=0) >= len(sizes):
            raise LayerError(
                f"mask must name num_box = {param.num_box} of the {len(sizes)} anchors for each of {len(bottom)} maps, "
                f"not {mask}."
            )
        if len(scales) != len(bottom) or min(scales) < 1:
            raise LayerError(f"anchors_scale must be a number > 0 for each of {len(bottom)} maps, not {scales}.")
        self.anchors = []
        for scale, own in zip(scales, np.reshape(mask, (len(bottom), -1)), strict=True):
            anchors = self.new_blob((param.num_box, 2), "anchors")
            anchors.blob.data[...] = sizes[own] / scale
            self.anchors.append(anchors)

    def candidates(self, index: int, x: Any) -> tuple[Any, Any]:
        xp = self.xp
        sure = sigmoids(xp, x[:, :, self.first_class - 1])
        if self.gaussian:
            sure = sure * (1 - sigmoids(xp, x[:, :, 1:8:2]).mean(axis=2))
        objectness = sure.reshape(-1)
        classes = x[:, :, self.first_class :].transpose(0, 1, 3, 4, 2).reshape(-1, self.num_classes)
        # No score is greater than the objectness.
        places = self.ops.worth_a_look(objectness > self.dtype.type(self.confidence_threshold))
        if places is not None:
            objectness, classes = objectness[places], classes[places]
        return places, objectness[:, None] * sigmoids(xp, classes)

    def boxes(self, x: Any) -> Any:
        return self.xp.ascontiguousarray(x[:, :, :8:2]) if self.gaussian else x

    def labels(self, x: Any, places: Any, classes: Any) -> Any:
        return classes + 1

    def chosen(self, scores: Any) -> Any:
        return scores > self.dtype.type(self.confidence_threshold)
