"""What the layers are in PyTorch, for bicerin-onnx; gradients of their own are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bicerin.layer.torch_code import Code


def truncation(code: Code, layer: Any) -> str:
    return code.call(code.function(truncated), code.bottoms[0], float(layer.lower), float(layer.upper))


def soft_truncation(code: Code, layer: Any) -> str:
    return f"-torch.expm1({code.bottoms[0]} / {code.number(-layer.c)})"


def arccos(code: Code, layer: Any) -> str:
    return code.call(code.function(limited_arccos), code.bottoms[0])


def cosine(code: Code, layer: Any) -> str:
    return f"torch.cos({code.bottoms[0]})"


def flip(code: Code, layer: Any) -> str:
    axes = [axis for axis, part in enumerate(layer.backwards) if part.step == -1]
    return code.call(f"{code.bottoms[0]}.flip", *axes) if axes else str(code.bottoms[0])


def gram(code: Code, layer: Any) -> str:
    return code.call(code.function(gram_matrix), code.bottoms[0])


def slope(code: Code, layer: Any) -> str:
    return code.call(code.function(with_places), code.bottoms[0])


def channel_scale(code: Code, layer: Any) -> str | list[str]:
    x, s = code.bottoms
    param = layer.param.channel_scale_param
    places = str(s) if s.shape == (*s.shape[:1], 1, *x.shape[2:]) else f"{s}.reshape(-1, 1, *{x}.shape[2:])"
    product = code.call(code.function(scaled_places), x, places, param.do_backward_feature, param.do_backward_scale)
    if layer.is_global:
        scale = np.clip(code.weights(0), param.min_global_scale, param.max_global_scale)
        kept = code.buffer(scale.astype(np.float32), "scale")
        y = code.call(code.function(taught_by), f"{x} * {kept}", product)
        return [y, f"{kept}.clone()"] if len(code.tops) > 1 else y
    return product if param.do_forward else code.call(code.function(taught_by), x, product)


def pairwise(code: Code, layer: Any) -> str:
    a, b = (f"{x}.flatten(1)" if len(x.shape) > 1 else f"{x}.unsqueeze(1)" for x in code.bottoms)
    a = f"{a}.unsqueeze(1)"
    if layer.operation == "SUM":
        first, second = (
            text if factor == 1 else f"{code.number(factor)} * {text}"
            for text, factor in zip((a, b), layer.factors, strict=True)
        )
        return f"{first} + {second}"
    return f"{a} * {b}" if layer.operation == "PROD" else code.call(code.function(greater), a, b)


def inner_distance(code: Code, layer: Any) -> str:
    x = code.bottoms[0]
    items = str(x) if len(x.shape) == 2 and layer.axis == 1 else f"{x}.reshape(-1, {layer.features})"
    if layer.learned:
        weights = code.parameter(code.blob(0), "weight")
    else:
        w = code.bottoms[1]
        weights = str(w) if len(w.shape) == 2 else f"{w}.reshape(-1, {layer.features})"
    if layer.normalize:
        weights = code.call(code.function(normalized), weights)
    distances = code.function(distances_of)
    if layer.by_label:
        return code.call(code.function(distances_by_label), items, weights, code.bottoms[-1], layer.first_power)
    return code.call(distances, items, weights, layer.first_power)


def label_specific_add(code: Code, layer: Any) -> str:
    if len(code.tops) > 1 or layer.anneals:
        code.refuse("a bias that grows from one iteration to the next, or a top that shows it, is not exported.")
    x, labels = code.bottoms
    bias = float(layer.param.label_specific_add_param.bias)
    return f"{code.call(code.function(with_bias), x, labels, bias)} if self.training else {x}"


def label_specific_rescale(code: Code, layer: Any) -> str:
    param = layer.param.label_specific_rescale_param
    if len(code.tops) > 1 or param.HasField("positive_weight_base"):
        code.refuse("a weight that changes from one iteration to the next, or a top that shows it, is not exported.")
    x, labels = code.bottoms
    weights = (float(param.positive_weight), float(param.negative_weight))
    options = {name: True if getattr(param, name) else None for name in ("for_ip", "bias_fix", "power_on_positive")}
    rescaled_scores = code.call(code.function(rescaled), x, labels, *weights, **options)
    return rescaled_scores if layer.rescales else f"{rescaled_scores} if self.training else {x}"


def labeled_matching(code: Code, layer: Any) -> list[str]:
    x, labels = code.bottoms
    memory, age = code.buffer(code.blob(0), "memory"), code.buffer(code.blob(1), "age")
    classes = f"{code.function(class_or_none)}({labels}, {layer.classes})"
    if not layer.remembers:
        return [f"{x}.flatten(1) @ {memory}.mT", classes]
    _ = code.function(remember)
    scores = code.call(code.function(matched), x, labels, memory, age, float(layer.momentum), "self.training")
    return [scores, classes]


def unlabeled_matching(code: Code, layer: Any) -> str:
    x, labels = code.bottoms
    queue = code.buffer(code.blob(0), "queue")
    if not layer.remembers:
        return f"{x}.flatten(1) @ {queue}.mT"
    _ = code.function(enqueue)
    tail = code.buffer(int(layer.tail), "tail")
    return code.call(code.function(compared), x, labels, queue, tail, "self.training")


def center_loss(code: Code, layer: Any) -> str | None:
    if not code.keeps_losses:
        return None
    features = layer.blobs[0].shape[1]
    x = code.bottoms[0]
    items = str(x) if x.shape == (x.shape[0], features) else f"{x}.reshape(-1, {features})"
    centers = code.parameter(code.blob(0), "centers")
    _ = code.function(moved_towards)
    options = {name: True if getattr(layer, name) else None for name in ("first_power", "once_an_item")}
    return code.call(code.function(distance_to_centers), items, code.bottoms[1], centers, **options)


def truncated(x: Tensor, lower: float, upper: float) -> Tensor:
    """x between two bounds, at which there is no gradient any more."""
    return torch.where((x > lower) & (x < upper), x, x.detach().clamp(lower, upper))


def limited_arccos(x: Tensor) -> Tensor:
    """arccos, with the slope that it has at 0.99 where x is more, so that gradients stay finite."""
    beyond = torch.acos(x).detach() - (x - x.detach()) / (1 - 0.99**2) ** 0.5
    return torch.where(x > 0.99, beyond, torch.acos(x.clamp(max=0.99)))


def gram_matrix(x: Tensor) -> Tensor:
    """The products of each two channels, `(N, C, C, 1)`, over the number of places and channels."""
    rows = x.unsqueeze(-1).flatten(2)
    return (rows @ rows.mT / (rows.shape[1] * rows.shape[2])).unsqueeze(3)


def with_places(x: Tensor) -> Tensor:
    """Two more channels: each place's row over the height, and its column over the width."""
    number, _, height, width = x.shape
    rows = torch.arange(height, device=x.device, dtype=x.dtype)[:, None] / height
    columns = torch.arange(width, device=x.device, dtype=x.dtype) / width
    return torch.cat((x, *(one.expand(number, 1, height, width) for one in (rows, columns))), 1)


def scaled_places(x: Tensor, s: Tensor, of_feature: bool, of_scale: bool) -> Tensor:
    """x * s. Without `of_feature` the gradient goes to x as it is, without `of_scale` none to s."""
    s = s if of_scale else s.detach()
    return x * s if of_feature else x.detach() * s + (x - x.detach())


def taught_by(y: Tensor, other: Tensor) -> Tensor:
    """The values of one, with the gradients of the other."""
    return y.detach() + (other - other.detach())


def greater(a: Tensor, b: Tensor) -> Tensor:
    """The greater of two; of equals the first has the gradient."""
    return torch.where(a >= b, a, b)


def normalized(weights: Tensor) -> Tensor:
    """Weights, themselves brought to rows of length 1."""
    with torch.no_grad():
        weights /= (weights.square().sum(1, keepdim=True) + 1e-6).sqrt()
    return weights


def distances_of(x: Tensor, weights: Tensor, first_power: bool) -> Tensor:
    """The sums of absolute or squared differences between each row of one and each of the other."""
    delta = x.unsqueeze(1) - weights
    return (delta.abs() if first_power else delta.square()).sum(2)


def distances_by_label(x: Tensor, weights: Tensor, labels: Tensor, first_power: bool) -> Tensor:
    """Distances of which the weights learn those of each item from its own class alone."""
    own = labels.reshape(-1, 1) == torch.arange(len(weights), device=x.device)
    taught = distances_of(x.detach(), weights, first_power)
    return distances_of(x, weights.detach(), first_power) + own * (taught - taught.detach())


def with_bias(x: Tensor, labels: Tensor, bias: float) -> Tensor:
    """Each item's score of its own class plus a bias, where it is above minus the bias."""
    scores = x.flatten(1)
    own = labels.reshape(-1, 1) == torch.arange(scores.shape[1], device=x.device)
    return (scores + (own & (scores > -bias)) * bias).reshape(x.shape)


def rescaled(
    x: Tensor,
    labels: Tensor,
    positive: float,
    negative: float,
    for_ip: bool = False,
    bias_fix: bool = False,
    power_on_positive: bool = False,
) -> Tensor:
    """Each item's score of its own class times one weight, or to its power, and those of others times another."""
    scores = x.flatten(1)
    own = labels.reshape(-1, 1) == torch.arange(scores.shape[1], device=x.device)
    others = torch.where(own, scores, negative * scores)
    changed = own & (scores > 0) if for_ip else own
    if positive == 1:
        return others.reshape(x.shape)
    if power_on_positive:
        size = torch.where(changed, scores.abs(), 1)
        return torch.where(changed, scores.sign() * size**positive, others).reshape(x.shape)
    shift = 1 - positive if bias_fix else 0.0
    return torch.where(changed, positive * scores + shift, others).reshape(x.shape)


def class_or_none(labels: Tensor, classes: int) -> Tensor:
    """Labels, and -1 for those that are no class."""
    return torch.where((labels > -1) & (labels < classes), labels, -1)


def remember(x: Tensor, labels: Tensor, memory: Tensor, age: Tensor, momentum: float) -> None:
    """Move what is remembered of each item's class towards the item, one item after the other."""
    age += 1
    for item, label in zip(x, labels, strict=True):
        if -1 < label < len(memory):
            memory[label.long()] = momentum * memory[label.long()] + (1 - momentum) * item
            age[label.long()] = 0


def matched(x: Tensor, labels: Tensor, memory: Tensor, age: Tensor, momentum: float, learns: bool) -> Tensor:
    """Products with what is remembered of each class, which the backward pass changes."""
    items = x.flatten(1)
    if not (learns and x.requires_grad):
        return items @ memory.mT
    scores = items @ memory.clone().mT
    scores.register_hook(lambda _: remember(items.detach(), labels.flatten(), memory, age, momentum))
    return scores


def enqueue(x: Tensor, labels: Tensor, queue: Tensor, tail: Tensor) -> None:
    """Put the items that nobody knows in place of the oldest of a queue."""
    for item in x[(labels > -2) & (labels <= -1)]:
        queue[tail] = item
        tail.copy_((tail + 1) % len(queue))


def compared(x: Tensor, labels: Tensor, queue: Tensor, tail: Tensor, learns: bool) -> Tensor:
    """Products with the items of a queue, which the backward pass changes."""
    items = x.flatten(1)
    if not (learns and x.requires_grad):
        return items @ queue.mT
    scores = items @ queue.clone().mT
    scores.register_hook(lambda _: enqueue(items.detach(), labels.flatten(), queue, tail))
    return scores


def moved_towards(centers: Tensor, step: Tensor, labels: Tensor, once_an_item: bool) -> Tensor:
    """0, with the gradient of centers that CenterLoss has, which does not depend on what the loss counts for."""
    own = (labels.unsqueeze(1) == torch.arange(len(centers), device=centers.device)).to(step.dtype)
    number = own.sum(0)
    gradient = -(own.mT @ step) / (number + 1).unsqueeze(1)
    if once_an_item:
        gradient = gradient * number.unsqueeze(1)
    still = centers - centers.detach()
    if still.requires_grad:
        still.register_hook(lambda _: gradient)
    return still.sum()


def distance_to_centers(
    x: Tensor, labels: Tensor, centers: Tensor, first_power: bool = False, once_an_item: bool = False
) -> Tensor:
    """The mean distance of items from the centers of their classes, which move towards their items."""
    labels = labels.long().flatten()
    delta = x - centers.detach()[labels]
    costs = delta.abs() if first_power else 0.5 * delta.square()
    step = delta.detach().sign() if first_power else delta.detach()
    return costs.sum() / max(1, len(x)) + moved_towards(centers, step, labels, once_an_item)
