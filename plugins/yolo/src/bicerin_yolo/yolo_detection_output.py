"""YoloDetectionOutput: the detections of YOLO 2. Redmon and Farhadi, YOLO9000, 2017.

Each anchor of each place gives one box, decoded as RegionLoss does, with its best class, if the sigmoid of its
objectness times that class's softmax is `confidence_threshold` or more. Of boxes of one image that overlap by
`nms_threshold` or more, whatever their classes, only the best stays. Label 0 is the background.

Source: the YoloDetectionOutputLayer of MobileNet-YOLO. There, all images of a batch go into one list, in which they
suppress each other, under the number 0; here each has its own number and list. As there, `label_map_file` is not read;
and neither is `side`, since maps have a size of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, Operations, between
from bicerin_yolo.boxes_kernels import sigmoids
from bicerin_yolo.detections import DetectionsLayer
from bicerin_yolo.object_loss import anchor_sizes


class YoloDetectionOutputLayer(DetectionsLayer):
    """Bottoms: one map of predictions or two, `(N, num_box (5 + num_classes), H, W)`, with the same anchors. Top:
    `(1, 1, D, 7)`: rows of image, label, score, xmin, ymin, xmax, ymax, as parts of the image, by image, the best score
    first. Where nothing is found, one row for each image: its number and -1 six times.
    """

    type = "YoloDetectionOutput"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    operations = Operations("boxes_kernels", "detections_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        param = self.param.yolo_detection_output_param
        if param.coords != 4:
            raise LayerError(f"coords must be 4, not {param.coords}: a box is x, y, width and height.")
        for name in ("num_classes", "num_box"):
            if getattr(param, name) < 1:
                raise LayerError(f"{name} must be > 0")
        self.num_classes: int = param.num_classes
        self.confidence_threshold: float = param.confidence_threshold
        self.nms_threshold: float = param.nms_threshold
        sizes = anchor_sizes(param.biases, param.num_box, "places of the map")[: param.num_box]
        anchors = self.new_blob(sizes.shape, "anchors")
        anchors.blob.data[...] = sizes
        self.anchors = [anchors] * len(bottom)

    def candidates(self, index: int, x: Any) -> tuple[Any, Any]:
        xp = self.xp
        objectness = sigmoids(xp, x[:, :, 4]).reshape(-1)
        # No score is greater than the objectness.
        places = self.ops.worth_a_look(objectness >= self.dtype.type(self.confidence_threshold))
        if places is not None:
            objectness = objectness[places]
        classes = self._classes(x, places)
        if not objectness.size:
            return places, objectness[:, None]
        highest = classes.max(axis=1)
        return places, (objectness / xp.exp(classes - highest[:, None]).sum(axis=1))[:, None]

    def labels(self, x: Any, places: Any, classes: Any) -> Any:
        own = self._classes(x, places)
        return own.argmax(axis=1) + 1 if len(own) else 0

    def chosen(self, scores: Any) -> Any:
        return scores >= self.dtype.type(self.confidence_threshold)

    def _classes(self, x: Any, places: Any) -> Any:
        """The classes of these places, or of all, `(P, K)`."""
        rows = x[:, :, 5:].transpose(0, 1, 3, 4, 2).reshape(-1, self.num_classes)
        return rows if places is None else rows[places]
