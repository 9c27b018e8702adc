"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bicerin.layer.torch_code import Code


def reorg(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    shape, order = (layer.maps, (0, 3, 4, 1, 5, 2)) if layer.reverse else (layer.pixels, (0, 3, 5, 1, 2, 4))
    parted = ", ".join(map(str, shape[1:]))
    return f"{x}.reshape(-1, {parted}).permute{order}.reshape(-1, {', '.join(map(str, code.tops[0][1:]))})"


def yolo_detection_output(code: Code, layer: Any) -> str:
    return _detections(code, layer, each_class=False)


def yolov3_detection_output(code: Code, layer: Any) -> str:
    return _detections(code, layer, each_class=True)


def _detections(code: Code, layer: Any, each_class: bool) -> str:
    maps = []
    for index, x in enumerate(code.bottoms):
        anchors = np.array(layer.anchors[index].blob.read_only.data, np.float64)
        if not len(anchors) * x.shape[2] * x.shape[3]:
            code.refuse("a map has no places.")
        buffer = code.buffer(anchors, f"anchors{index}" if len(code.bottoms) > 1 else "anchors")
        maps.append(f"{code.function(decoded_map)}({x}, {buffer}, {layer.num_classes}, {layer.first_class})")
    code.varies(axis=2)
    return code.call(
        code.function(listed_boxes),
        f"[{', '.join(maps)}]",
        float(layer.confidence_threshold),
        float(layer.nms_threshold),
        each_class,
    )


def decoded_map(x: Tensor, anchors: Tensor, classes: int, first_class: int) -> tuple[Tensor, Tensor, Tensor]:
    """Corners `(N, P, 4)`, objectness `(N, P)` and classes `(N, P, K)` of a map, by anchor, row and column.

    `first_class` numbers come before those of the classes: 5, or with a deviation after each of the box's four 9.
    """
    number, _, height, width = x.shape
    x = x.reshape(number, len(anchors), first_class + classes, height, width).permute(0, 1, 3, 4, 2)
    sure = torch.sigmoid(x[..., first_class - 1])
    if first_class == 9:
        sure = sure * (1 - torch.sigmoid(x[..., 1:8:2]).mean(-1))
    row, column = torch.meshgrid(
        torch.arange(height, device=x.device), torch.arange(width, device=x.device), indexing="ij"
    )
    cells, size = torch.stack((column, row), -1), torch.tensor([width, height], device=x.device)
    box = x[..., : first_class - 1 : first_class // 4]
    middle = (torch.sigmoid(box[..., :2]) + cells) / size
    half = box[..., 2:].exp() * (anchors / size / 2)[:, None, None]
    boxes = torch.cat((middle - half, middle + half), -1)
    return boxes.flatten(1, 3), sure.flatten(1), x[..., first_class:].flatten(1, 3)


def listed_boxes(
    maps: list[tuple[Tensor, Tensor, Tensor]], score_threshold: float, nms_threshold: float, each_class: bool
) -> Tensor:
    """Rows of image, label, score and corners, (1, 1, K, 7), the best of an image first; a box for each class, or for
    the best class of each. Of boxes that overlap by the threshold or more the best stays. Where there are none, a row
    of -1 for each image.
    """
    boxes, objectness, classes = (torch.cat(parts, 1) for parts in zip(*maps, strict=True))
    if each_class:
        scores = objectness[..., None] * torch.sigmoid(classes)
        labels = torch.arange(1, classes.shape[2] + 1, device=boxes.device).expand(scores.shape).flatten(1)
        boxes, scores = boxes.repeat_interleave(classes.shape[2], 1), scores.flatten(1)
        chosen = scores > score_threshold
    else:
        scores = objectness * classes.softmax(2).amax(2)
        labels, chosen = classes.argmax(2) + 1, scores >= score_threshold
    found = []
    for image in range(len(boxes)):
        places = chosen[image].nonzero()[:, 0]
        places = places[scores[image, places].sort(descending=True, stable=True).indices]
        own = boxes[image, places]
        area = (own[:, 2:] - own[:, :2]).prod(1)
        start, end = torch.maximum(own[:, None, :2], own[:, :2]), torch.minimum(own[:, None, 2:], own[:, 2:])
        shared = (end - start).clamp(min=0).prod(2)
        overlaps = shared / (area[:, None] + area - shared) >= nms_threshold
        stays = torch.zeros(len(own), dtype=torch.bool, device=own.device)
        for place in range(len(own)):
            stays[place] = not (overlaps[place] & stays).any()
        places = places[stays]
        head = torch.stack((torch.full_like(places, image), labels[image, places]), 1).to(own.dtype)
        found.append(torch.cat((head, scores[image, places, None], own[stays]), 1))
    result = torch.cat(found)
    if not len(result):
        result = boxes.new_full((len(boxes), 7), -1)
        result[:, 0] = torch.arange(len(boxes))
    return result[None, None]


def eval_detection(code: Code, layer: Any) -> None:
    """Left out, as Accuracy is."""
    if code.keeps_losses:
        code.refuse("which boxes are right, of the labels' in turn, is not exported: leave out keep_losses.")
