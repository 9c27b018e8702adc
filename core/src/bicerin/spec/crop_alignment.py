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

    Crop layers that cannot be aligned are left out.

    Args:
        layers: `LayerParameter`s in today's format, in the order in which they run.

    Returns:
        A layer's index among them -> one offset per cropped axis.
    """
    return {index: offset for index, offset in alignments(layers, "Crop").items() if offset and any(offset)}


def alignments(layers: Sequence[Any], layer_type: str) -> dict[int, list[int] | None]:
    """Where the layers of a type that crops would cut, if they aligned their bottoms; of those without a `crop_param`.

    Args:
        layers: as above.
        layer_type: "Crop", or another that crops as it does.

    Returns:
        A layer's index among them -> one offset per cropped axis; None where no layers with windows connect its
        bottoms, or the offset is not a whole number, 0 or more.
    """
    found: dict[int, list[int] | None] = {}
    tops: dict[str, Top] = {}
    for index, layer in enumerate(layers):
        bottoms = [tops.setdefault(name, Function("Input", [], {}).tops[0]) for name in layer.bottom]
        crops = layer.type == layer_type
        if crops and len(bottoms) == 2 and not layer.HasField("crop_param"):
            found[index] = _offset(*bottoms)
        kind, params = _window(layer, crops)
        offset = found.get(index)
        if offset and any(offset):  # those after it are aligned with what it then gives
            params["offset"] = offset
        function = Function(kind, bottoms, {**params, "ntop": len(layer.top)})
        tops.update(zip(layer.top, function.tops, strict=True))
    return found


def _offset(moved: Top, reference: Top) -> list[int] | None:
    try:
        return list(crop(moved, reference).fn.params["crop_param"]["offset"])
    except (AssertionError, RuntimeError, AxisMismatchException, ValueError, ZeroDivisionError):
        return None


def _window(layer: Any, crops: bool) -> tuple[str, dict[str, Any]]:
    """A layer's type and parameters as `coordinates` takes them; global pooling becomes "Global", which has no map."""
    if crops or layer.type == "Crop":
        return "Crop", {"axis": layer.crop_param.axis, "offset": list(layer.crop_param.offset) or [0]}
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
