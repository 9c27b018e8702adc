"""Where Crop layers without parameters would cut in the forks of FCN's time, which aligned both bottoms by themselves.

In Caffe 1.0 such a layer cuts at offset 0; the forks of FCN, HED and CRF-RNN computed the offset that
`coordinates.crop` computes. The files are the same, and the results are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.spec.coordinates import AxisMismatchException, crop
from bicerin.spec.net_spec import Function, Top


def aligned_offsets(layers: Sequence[Any]) -> dict[int, list[int]]:
    """The offsets, other than 0, that alignment would give to the Crop layers without a `crop_param`.

    Crop layers whose bottoms no layers with windows connect, or whose offset is not a whole number, are left out.

    Args:
        layers: `LayerParameter`s in today's format, in the order in which they run.

    Returns:
        A layer's index among them -> one offset per cropped axis.
    """
    found: dict[int, list[int]] = {}
    tops: dict[str, Top] = {}
    for index, layer in enumerate(layers):
        bottoms = [tops.setdefault(name, Function("Input", [], {}).tops[0]) for name in layer.bottom]
        if layer.type == "Crop" and len(bottoms) == 2 and not layer.HasField("crop_param"):
            offset = _offset(*bottoms)
            if any(offset):
                found[index] = offset
        kind, params = _window(layer)
        if index in found:  # those after it are aligned with what it then gives
            params["offset"] = found[index]
        function = Function(kind, bottoms, {**params, "ntop": len(layer.top)})
        tops.update(zip(layer.top, function.tops, strict=True))
    return found


def _offset(moved: Top, reference: Top) -> list[int]:
    try:
        return list(crop(moved, reference).fn.params["crop_param"]["offset"])
    except (AssertionError, RuntimeError, AxisMismatchException, ValueError, ZeroDivisionError):
        return []


def _window(layer: Any) -> tuple[str, dict[str, Any]]:
    """A layer's type and parameters as `coordinates` takes them; global pooling becomes "Global", which has no map."""
    if layer.type == "Crop":
        return layer.type, {"axis": layer.crop_param.axis, "offset": list(layer.crop_param.offset) or [0]}
    if layer.type == "Pooling":
        param = layer.pooling_param
        if param.global_pooling:
            return "Global", {}
        return layer.type, {name: _sides(param, name, field, one) for name, field, one in _SIZES}
    if layer.type in ("Convolution", "Deconvolution", "Im2col"):
        param = layer.convolution_param
        sizes: dict[str, Any] = {name: _sides(param, name, field, one) for name, field, one in _SIZES}
        return layer.type, {**sizes, "dilation": list(param.dilation) or [1], "axis": param.axis}
    return layer.type, {}


#: A size's name, the stem of its names by side, and its default.
_SIZES = (("kernel_size", "kernel", 1), ("stride", "stride", 1), ("pad", "pad", 0))


def _sides(param: Any, name: str, stem: str, default: int) -> list[int]:
    if param.HasField(f"{stem}_h"):
        return [getattr(param, f"{stem}_h"), getattr(param, f"{stem}_w")]
    given = getattr(param, name)
    return [given] if isinstance(given, int) else list(given) or [default]
