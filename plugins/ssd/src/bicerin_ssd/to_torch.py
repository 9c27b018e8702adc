"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_ssd.unit_channels import EPS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bicerin.layer.torch_code import Code


def permute(code: Code, layer: Any) -> str:
    return code.call(f"{code.bottoms[0]}.permute", *layer.order)


def normalize(code: Code, layer: Any) -> str | list[str]:
    (x,) = code.bottoms
    if layer._happynears is not None:
        return _unit_channels(code, layer)
    axes = tuple(range(1, len(x.shape))) if len(layer.axes) > 1 else (1,)
    scale = layer.blobs[0]
    shape = [scale.count, *[1] * (len(x.shape) - 2)] if scale.num_axes else []
    weight = code.parameter(code.blob(0, shape), "weight")
    return f"{x} / (({x} * {x}).sum({axes}, keepdim=True) + {code.number(layer.eps)}).sqrt() * {weight}"


def _unit_channels(code: Code, layer: Any) -> list[str]:
    (x,) = code.bottoms
    missing = 4 - len(x.shape)
    rows = f"{x}.reshape({x}.shape + {(1,) * missing})" if missing else str(x)
    if layer._happynears.first_power:
        norm = f"({rows}.abs().sum(1, keepdim=True) + {EPS})"
    else:
        norm = f"({rows} ** 2).sum(1, keepdim=True).add({EPS}).sqrt()"
    return [f"{rows} / {norm}", norm][: len(code.tops)]


def prior_box(code: Code, layer: Any) -> str:
    """It depends on sizes alone."""
    cells, image = code.bottoms[0].shape[2:], layer.image_size or code.bottoms[1].shape[2:]
    return f"{code.buffer(np.asarray(layer._boxes(np, cells, image), np.float32), '')} * 1"


def detection_output(code: Code, layer: Any) -> str:
    if layer.objectness is not None:
        code.refuse("the first stage of RefineDet is not known here.")
    if layer.files is not None:
        code.refuse("save_output_param: a module writes no files. Remove it.")
    loc, conf, priors = code.bottoms
    classes = [label for label in range(layer.num_classes) if label != layer.background]
    if not classes or not layer.priors or not layer.limit:
        code.refuse("there is no class but the background, or there are no prior boxes.")
    code.varies(axis=2)
    boxes = code.call(
        code.function(decoded_boxes),
        f"{loc}.reshape(-1, {layer.priors}, {layer.loc_classes}, 4)",
        f"{priors}.reshape(2, {layer.priors}, 1, 4)",
        f'"{layer.code}"',
        bool(layer.variance_in_target),
    )
    _ = code.function(suppressed)
    return code.call(
        code.function(detections),
        boxes,
        f"{conf}.reshape(-1, {layer.priors}, {layer.num_classes})",
        classes,
        int(min(layer.limit, layer.priors)),
        int(layer.keep_top_k),
        float(layer.score_threshold),
        float(layer.nms_threshold),
        eta=float(layer.eta) if layer.eta < 1 else None,
    )


def decoded_boxes(offsets: Tensor, priors: Tensor, kind: str, variance_in_target: bool) -> Tensor:
    """Boxes, (N, P, L, 4), of offsets from P prior boxes, (2, P, 1, 4) with their variances."""
    boxes, variances = priors
    if not variance_in_target:
        offsets = offsets * variances
    if kind == "CORNER":
        return boxes + offsets
    start, end = boxes.chunk(2, -1)
    extent = end - start
    if kind == "CORNER_SIZE":
        return boxes + offsets * torch.cat((extent, extent), -1)
    moved, grown = offsets.chunk(2, -1)
    center, half = moved * extent + (start + end) / 2, grown.exp() * extent / 2
    return torch.cat((center - half, center + half), -1)


def suppressed(boxes: Tensor, threshold: float, eta: float) -> Tensor:
    """Which boxes, of which the best are first, no better one that stays overlaps by more than the threshold.

    As long as that is above 0.5, it shrinks by eta with each box that stays.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    start, end = torch.maximum(boxes[:, None, :2], boxes[:, :2]), torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (end - start).clamp(min=0).prod(2)
    overlaps = shared / (area[:, None] + area - shared)
    stays = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    for place in range(len(boxes)):
        stays[place] = not (overlaps[place, stays] > threshold).any()
        if stays[place] and threshold > 0.5:
            threshold *= eta
    return stays


def detections(
    boxes: Tensor,
    scores: Tensor,
    classes: tuple[int, ...],
    top_k: int,
    keep_top_k: int,
    score_threshold: float,
    nms_threshold: float,
    eta: float = 1.0,
) -> Tensor:
    """Rows of image, label, score and box, (1, 1, K, 7); where there are none, one of -1 for each image."""
    found = []
    for image in range(len(scores)):
        rows = []
        for label in classes:
            score, order = scores[image, :, label].sort(descending=True, stable=True)
            order = order[:top_k][score[:top_k] > score_threshold]
            own = boxes[image, order, label if boxes.shape[2] > 1 else 0]
            order, own = (values[suppressed(own, nms_threshold, eta)] for values in (order, own))
            head = own.new_tensor([[image, label]]).expand(len(own), 2)
            rows.append(torch.cat((head, scores[image, order, label, None], own), 1))
        kept = torch.cat(rows)
        if -1 < keep_top_k < len(kept):
            best = kept[:, 2].sort(descending=True, stable=True).indices[:keep_top_k]
            kept = kept[best.sort().values]
        found.append(kept)
    result = torch.cat(found)
    if not len(result):
        result = scores.new_full((len(scores), 7), -1)
        result[:, 0] = torch.arange(len(scores))
    return result[None, None]


def detection_evaluate(code: Code, layer: Any) -> None:
    """Left out, as Accuracy is."""
    if code.keeps_losses:
        code.refuse("which boxes are right, of the labels' in turn, is not exported: leave out keep_losses.")
