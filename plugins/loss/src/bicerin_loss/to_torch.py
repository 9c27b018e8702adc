"""What the layers are in PyTorch, for bicerin-onnx. Losses and Accuracy are there only where they are to be kept."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_loss.multinomial_logistic_loss import LOG_THRESHOLD

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional as F

    from bicerin.layer.torch_code import Code


def softmax(code: Code, layer: Any) -> str:
    x = str(code.bottoms[0]) if layer.temperature == 1 else f"{code.bottoms[0]} / {code.number(layer.temperature)}"
    return f"F.softmax({x}, {layer.param.softmax_param.axis % len(code.tops[0])})"


def accuracy(code: Code, layer: Any) -> str | list[str] | None:
    if not code.keeps_losses:
        return None
    scores, labels = _columns(code, layer.param.accuracy_param.axis)
    scores = f"-{scores}" if layer.least_is_best else scores
    arguments = [scores, labels, layer.top_k, "None" if layer.ignore_label is None else layer.ignore_label]
    share, *classes = (f"{code.call(code.function(accuracies), *arguments)}[{place}]" for place in (0, 1))
    return [share, *classes[: len(code.tops) - 1]]


def softmax_with_loss(code: Code, layer: Any) -> str | list[str]:
    x, label = code.bottoms[:2]
    special = layer.smoothing or layer.class_weight is not None
    plain = not special and layer.ignore_label is None and layer.class_weighting is None and len(code.bottoms) == 2
    if (
        plain
        and len(code.tops) == 1
        and layer.normalization in ("VALID", "FULL")
        and layer.class_axis % len(x.shape) == 1
        and len(x.shape) == 2
        and len(label.shape) == 1
    ):
        return f"F.cross_entropy({x}, {label}.long())"
    scores, labels = _columns(code, layer.class_axis)
    classes = None if layer.class_weighting is None else code.buffer(np.asarray(layer.class_weighting), "weights")
    inner = prod(x.shape[layer.class_axis % len(x.shape) + 1 :])
    weights = f"{code.bottoms[2]}.reshape(-1, {inner})" if len(code.bottoms) > 2 else None
    options = {"weights": weights, "classes": classes, "ignored": layer.ignore_label}
    _ = code.function(divided)
    function = softmax_loss
    if special:
        function = taught_softmax_loss
        _ = code.function(softmax_loss), code.function(taught_by), code.function(smoothed)
        options["smoothing"] = float(layer.smoothing) or None
        if layer.class_weight is not None:
            options["label_classes"] = code.buffer(np.asarray(layer.class_weight), "class_weights")
    losses = code.call(code.function(function), scores, labels, f'"{layer.normalization}"', **options)
    tops = [f"{losses}[0]", f"F.softmax({x}, {layer.class_axis})", f"{losses}[1].reshape({label}.shape)"]
    return tops[: len(code.tops)]


def weighted_softmax_with_loss(code: Code, layer: Any) -> str:
    scores, labels = _columns(code, layer.class_axis)
    _ = code.function(divided)
    options: dict[str, Any] = {"ignored": layer.ignore_label}
    if layer.class_weighting is not None:
        options["classes"] = code.buffer(np.asarray(layer.class_weighting), "weights")
    if layer.smoothing:
        options["smoothing"] = float(layer.smoothing)
    weights = f"{code.bottoms[2]}.reshape(-1, 1)"
    kind = f'"{layer.normalization}"'
    _ = code.function(taught_by), code.function(smoothed)
    return code.call(code.function(weighted_softmax_loss), scores, labels, weights, kind, **options)


def multiclass_cross_entropy_loss(code: Code, layer: Any) -> str:
    p, target = (f"{bottom}.flatten(1)" for bottom in code.bottoms)
    _ = code.function(taught_by)
    return f"{code.function(multiclass_cross_entropy)}({p}, {target})"


def infogain_loss(code: Code, layer: Any) -> str | list[str]:
    scores, labels = _columns(code, layer.class_axis)
    classes = code.bottoms[0].shape[layer.class_axis % len(code.bottoms[0].shape)]
    if layer.infogain is None:
        matrix = f"{code.bottoms[2]}.reshape({classes}, {classes})"
    else:
        values = np.array(layer.infogain.blob.read_only.data).reshape(classes, classes)
        matrix = code.buffer(values, "matrix")
    _ = code.function(divided)
    loss = code.call(
        code.function(infogain), scores, labels, matrix, f'"{layer.normalization}"', ignored=layer.ignore_label
    )
    return loss if len(code.tops) == 1 else [loss, f"F.softmax({code.bottoms[0]}, {layer.class_axis})"]


def multinomial_logistic_loss(code: Code, layer: Any) -> str:
    x, label = code.bottoms
    chosen = f"{x}.flatten(1).gather(1, {label}.long().reshape(-1, 1))"
    return f"-{chosen}.clamp(min={LOG_THRESHOLD}).log().sum() / {x}.shape[0]"


def hinge_loss(code: Code, layer: Any) -> str:
    return code.call(code.function(hinge), f"{code.bottoms[0]}.flatten(1)", code.bottoms[1], bool(layer.squared))


def euclidean_loss(code: Code, layer: Any) -> str:
    a, b = code.bottoms
    if a.shape == b.shape:
        return f'F.mse_loss({a}, {b}, reduction="sum") / (2 * {a}.shape[0])'
    return f'F.mse_loss({a}.flatten(1), {b}.flatten(1), reduction="sum") / (2 * {a}.shape[0])'


def contrastive_loss(code: Code, layer: Any) -> str:
    a, b = (f"{x}.flatten(1)" for x in code.bottoms[:2])
    similar = f"{code.bottoms[2]}.flatten().abs() >= 1"
    return code.call(code.function(contrastive), a, b, similar, float(layer.margin), bool(layer.legacy))


def sigmoid_cross_entropy_loss(code: Code, layer: Any) -> str:
    rows = prod(code.bottoms[0].shape[1:])
    x, target, *weights = (f"{bottom}.reshape(-1, {rows})" for bottom in code.bottoms)
    if not weights:
        _ = code.function(divided)
        kind = f'"{layer.normalization}"'
        return code.call(code.function(sigmoid_loss), x, target, kind, ignored=layer.ignore_label)
    return code.call(code.function(weighted_sigmoid_loss), x, target, weights[0], ignored=layer.ignore_label)


def multi_label_sigmoid_loss(code: Code, layer: Any) -> str:
    x, target = code.bottoms
    return f"{code.function(known_sigmoid_loss)}({x}, {target}.reshape({x}.shape))"


def multi_label_accuracy(code: Code, layer: Any) -> str | None:
    if not code.keeps_losses:
        return None
    score, target = code.bottoms
    return f"{code.function(label_rates)}({score}.flatten(), {target}.flatten())"


def _columns(code: Code, axis: int) -> tuple[str, str]:
    """Scores as (outer, classes, inner), and labels as (outer, inner)."""
    x, labels = code.bottoms[:2]
    axis %= len(x.shape)
    classes, inner = x.shape[axis], prod(x.shape[axis + 1 :])
    return f"{x}.reshape(-1, {classes}, {inner})", f"{labels}.long().reshape(-1, {inner})"


def divided(losses: Tensor, counts: Tensor, normalization: str, weights: Tensor | None = None) -> Tensor:
    """The sum of those losses that count, `(outer, inner)`, over what Caffe's `normalization` says."""
    total = torch.where(counts, losses, losses.new_zeros(())).sum()
    valid = counts if weights is None else torch.where(counts, weights, weights.new_zeros(()))
    divisors = {"VALID": valid.sum(), "FULL": losses.numel(), "BATCH_SIZE": losses.shape[0], "NONE": 1}
    return total / torch.as_tensor(divisors[normalization], dtype=losses.dtype).clamp(min=1)


def softmax_loss(
    scores: Tensor,
    labels: Tensor,
    normalization: str,
    weights: Tensor | None = None,
    classes: Tensor | None = None,
    ignored: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross entropy of the softmax of scores, `(outer, classes, inner)`, with labels, `(outer, inner)`: sum and parts.

    Labels, and classes, may have weights; the divisor knows those of the labels.
    """
    counts = torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored
    labels = torch.where(counts, labels, 0)
    parts = F.cross_entropy(scores, labels, reduction="none")
    losses = parts if weights is None else parts * weights
    losses = losses if classes is None else losses * classes[labels]
    return divided(losses, counts, normalization, weights), torch.where(counts, parts, parts.new_zeros(()))


def taught_by(value: Tensor, other: Tensor) -> Tensor:
    """One loss, with the gradients of another."""
    return value.detach() + (other - other.detach())


def smoothed(scores: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross entropy with labels that count 1 - smoothing, beside which each other class has its share of the rest."""
    soft = torch.full_like(scores, smoothing / scores.shape[1]).scatter(1, labels.unsqueeze(1), 1 - smoothing)
    return F.cross_entropy(scores, soft, reduction="none")


def taught_softmax_loss(
    scores: Tensor,
    labels: Tensor,
    normalization: str,
    weights: Tensor | None = None,
    classes: Tensor | None = None,
    ignored: int | None = None,
    smoothing: float = 0.0,
    label_classes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As `softmax_loss`; the gradient is that of smoothed labels, over the labels' weights without those of classes."""
    counts = torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored
    known = torch.where(counts, labels, 0)
    all_weights = weights
    if weights is not None and label_classes is not None:
        all_weights = weights * label_classes[known]
    loss, parts = softmax_loss(scores, labels, normalization, all_weights, classes, ignored)
    losses = smoothed(scores, known, smoothing) if smoothing else F.cross_entropy(scores, known, reduction="none")
    losses = losses if all_weights is None else losses * all_weights
    losses = losses if classes is None else losses * classes[known]
    return taught_by(loss, divided(losses, counts, normalization, weights)), parts


def weighted_softmax_loss(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    normalization: str,
    classes: Tensor | None = None,
    ignored: int | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy with labels, `(outer, inner)`, each item's times its weight, `(outer, 1)`; items of 0 are none."""
    counts = torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored
    known = torch.where(counts, labels, 0)
    factors = weights.detach() if classes is None else weights.detach() * classes[known]
    numbers = (weights > 1e-12).to(scores.dtype).expand(labels.shape)
    loss = divided(F.cross_entropy(scores, known, reduction="none") * factors, counts, normalization, numbers)
    if not smoothing:
        return loss
    return taught_by(loss, divided(smoothed(scores, known, smoothing) * factors, counts, normalization, numbers))


def multiclass_cross_entropy(p: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy of probabilities, over the items; its gradient, as OICR's, is divided by the classes too."""
    least = 1e-7
    # Those below the least have gradients too.
    rest = 1 - p
    p, rest = (x + (x.clamp(min=least) - x).detach() for x in (p, rest))
    loss = -(target * p.log() + (1 - target) * rest.log()).sum() / p.shape[0]
    return taught_by(loss, loss / p.shape[1])


def infogain(scores: Tensor, labels: Tensor, matrix: Tensor, normalization: str, ignored: int | None = None) -> Tensor:
    """Each class's logarithm, weighted by the row of the matrix that belongs to the label."""
    counts = torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored
    rows = matrix[torch.where(counts, labels, 0)].movedim(-1, 1)
    return divided(-(rows * F.softmax(scores, 1).clamp(min=1e-20).log()).sum(1), counts, normalization)


def sigmoid_loss(x: Tensor, target: Tensor, normalization: str, ignored: int | None = None) -> Tensor:
    """Cross entropy of the sigmoid of x with a target."""
    counts = torch.ones_like(target, dtype=torch.bool) if ignored is None else target.long() != ignored
    return divided(F.binary_cross_entropy_with_logits(x, target, reduction="none"), counts, normalization)


def weighted_sigmoid_loss(x: Tensor, target: Tensor, weights: Tensor, ignored: int | None = None) -> Tensor:
    """The same with a weight for each, over the weights' sum."""
    if ignored is not None:
        weights = weights * (target.long() != ignored)
    losses = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    total = weights.sum()
    return torch.where(total > 0, (losses * weights).sum() / total, total.new_zeros(()))


def known_sigmoid_loss(x: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of the sigmoid of x with those targets that are known, which are not negative."""
    known = target >= 0
    losses = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    return torch.where(known, losses, losses.new_zeros(())).sum() / known.sum().clamp(min=1)


def label_rates(score: Tensor, target: Tensor) -> Tensor:
    """Sensitivity, specificity, their harmonic mean, precision, and its with sensitivity: `(1, 5, 1, 1)`."""
    said, has = score >= 0, target >= 0.5
    lacks = (target >= 0) & ~has

    def mean(a: Tensor, b: Tensor) -> Tensor:
        return 2 * a * b / (a + b).clamp(min=torch.finfo(a.dtype).tiny)

    right = (said & has).sum()
    sensitivity = right / has.sum().clamp(min=1)
    specificity = (lacks & ~said).sum() / lacks.sum().clamp(min=1)
    precision = right / (right + (said & lacks).sum()).clamp(min=1)
    rates = [sensitivity, specificity, mean(sensitivity, specificity), precision, mean(precision, sensitivity)]
    return torch.stack(rates).to(score.dtype).reshape(1, 5, 1, 1)


def hinge(x: Tensor, labels: Tensor, squared: bool) -> Tensor:
    """Margins to 1: the label's class should score more, the others less."""
    own = F.one_hot(labels.long().flatten(), x.shape[1]).bool()
    margin = (1 + torch.where(own, -x, x)).clamp(min=0)
    return (margin * margin if squared else margin).sum() / x.shape[0]


def contrastive(a: Tensor, b: Tensor, similar: Tensor, margin: float, legacy: bool) -> Tensor:
    """Pairs that are similar should be near, others no nearer than the margin."""
    squared = ((a - b) ** 2).sum(1)
    apart = (margin - squared).clamp(min=0) if legacy else (margin - squared.sqrt()).clamp(min=0) ** 2
    return torch.where(similar, squared, apart).sum() / (2 * a.shape[0])


def accuracies(scores: Tensor, labels: Tensor, top_k: int, ignored: int | None) -> tuple[Tensor, Tensor]:
    """The share of labels whose class is among the top_k that score most, of all and of each class."""
    counts = torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored
    labels = torch.where(counts, labels, 0)
    chosen = scores.gather(1, labels.unsqueeze(1))
    rivals = (scores >= chosen).sum(1)
    right = ((rivals <= top_k) & (rivals > 0) & counts).to(scores.dtype)
    own = F.one_hot(labels, scores.shape[1]).to(scores.dtype) * counts.unsqueeze(-1)
    hits, seen = (own * right.unsqueeze(-1)).sum((0, 1)), own.sum((0, 1))
    return right.sum() / counts.sum().clamp(min=1), hits / seen.clamp(min=1)
