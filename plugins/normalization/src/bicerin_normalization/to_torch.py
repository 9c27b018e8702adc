"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from bicerin.layer.torch_code import Code


def lrn(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    if layer.across:
        return code.call(
            "F.local_response_norm",
            x,
            layer.size,
            alpha=float(layer.rate * layer.size),
            beta=float(layer.beta),
            k=float(layer.shift),
        )
    pad = (layer.size - 1) // 2
    mean = code.call("F.avg_pool2d", f"{x} * {x}", layer.size, 1, pad)
    scale = f"{code.number(layer.shift)} + {code.number(layer.rate * layer.size**2)} * {mean}"
    return f"{x} / ({scale}) ** {code.number(layer.beta)}"


def mvn(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    missing = 4 - len(x.shape)
    images = f"{x}.reshape({x}.shape + {(1,) * missing})" if missing else str(x)
    axes = (1, 2, 3) if layer.across_channels else (2, 3)
    eps = code.number(layer.eps) if layer.normalize_variance else None
    return code.call(code.function(mvn_normalize), images, axes, eps)


def mvn_normalize(x: Tensor, axes: tuple[int, ...], eps: float | None) -> Tensor:
    """x less its mean over these axes; with eps, over its standard deviation, which eps is added to."""
    y = x - x.mean(axes, keepdim=True)
    return y if eps is None else y / ((y * y).mean(axes, keepdim=True).sqrt() + eps)


def batch_norm(code: Code, layer: Any) -> str:
    y = _batch_norm(code, layer)
    return f"F.relu({y})" if layer.rectifies else y


def _batch_norm(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    axes, channels = len(x.shape), layer.channels
    weight = code.weights(2).item()
    factor = 1 / weight if weight else 0.0
    mean, variance = code.weights(0) * factor, code.weights(1) * factor
    learned = {"weight": code.blob(3)} if layer.scales else {}
    if layer.scales:
        learned["bias"] = code.blob(4) if layer.shifts else np.zeros(channels, np.float32)
    if layer.param.batch_norm_param.stats_batch_size and not layer.use_global_stats:
        code.refuse(
            "PyTorch's batch statistics are those of the whole batch, and stats_batch_size asks for parts of it."
        )
    if not (layer.centers and layer.divides):
        if not layer.use_global_stats:
            code.refuse("PyTorch's batch statistics have both mean and variance.")
        mean = mean if layer.centers else np.zeros_like(mean)
        variance = variance if layer.divides else np.full_like(variance, 1 - layer.eps)
    given = layer.param.batch_norm_param.HasField("use_global_stats")
    eps = float(layer.eps)
    if 2 <= axes <= 5 and not given and layer.centers and layer.divides:
        # The older averages count as much in both; in Caffe the first ones are not taken to be 0 and 1.
        arrays = {"running_mean": mean, "running_var": variance, "num_batches_tracked": np.array(0)}
        norm = code.module(
            f"nn.BatchNorm{max(axes - 2, 1)}d",
            channels,
            arrays={**learned, **arrays},
            eps=eps,
            momentum=round(1 - layer.moving_average_fraction, 6),
            affine=None if layer.scales else False,
        )
        return f"{norm}({x})"
    # Whether it is by the batch's statistics or by those of training does not depend on train() and eval().
    rows = str(x) if axes > 1 else f"{x}.unsqueeze(1)"
    options = {name: code.parameter(value, name) for name, value in learned.items()}
    if layer.use_global_stats:
        running = [code.buffer(mean, "mean"), code.buffer(variance, "variance")]
        y = code.call("F.batch_norm", rows, *running, **options, eps=eps)
    else:
        y = code.call("F.batch_norm", rows, None, None, **options, training=True, eps=eps)
    return y if axes > 1 else f"{y}.squeeze(1)"


def scale(code: Code, layer: Any) -> str:
    x = code.bottoms[0]
    axis = layer.param.scale_param.axis
    index = len(layer.blobs) - 1
    if len(code.bottoms) > 1:
        if layer.bias_term and layer.blobs[index].shape != code.bottoms[1].shape:
            code.refuse(f"the bias is learned for scales of the shape {layer.blobs[index].shape}.")
        factor = _operand(code, axis)
        bias = code.parameter(_learned(code, layer, index, axis), "bias") if layer.bias_term else None
        return f"{x} * {factor}{f' + {bias}' if bias else ''}"
    weight = code.parameter(_learned(code, layer, 0, axis), "weight")
    bias = code.parameter(_learned(code, layer, index, axis), "bias") if layer.bias_term else None
    return code.scaled(x, weight, bias)


def bias(code: Code, layer: Any) -> str:
    axis = layer.param.bias_param.axis
    if len(code.bottoms) > 1:
        return f"{code.bottoms[0]} + {_operand(code, axis)}"
    return f"{code.bottoms[0]} + {code.parameter(_learned(code, layer, 0, axis), 'bias')}"


def _operand(code: Code, axis: int) -> str:
    """The second bottom, with an axis of 1 for each that it lacks behind."""
    x, operand = code.bottoms
    missing = _missing(x, operand.shape, axis)
    return f"{operand}[{', '.join(['...', *['None'] * missing])}]" if missing else str(operand)


def _learned(code: Code, layer: Any, index: int, axis: int) -> Any:
    shape = layer.blobs[index].shape
    return code.blob(index, (*shape, *[1] * _missing(code.bottoms[0], shape, axis)))


def _missing(x: Any, shape: tuple[int, ...], axis: int) -> int:
    axes = len(x.shape)
    return axes - (axis % axes) - len(shape) if shape else 0
