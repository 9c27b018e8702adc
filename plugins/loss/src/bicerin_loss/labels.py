"""What the losses that take labels require of them, and what a summed loss is divided by."""

from __future__ import annotations

from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, normalizer


def divisor(xp: Any, mode: str, outer: int, inner: int, valid: Any) -> Any:
    """What a summed loss is divided by, see `bicerin.layer.normalizer`.

    `valid` is a number on the host; on a device an array of shape (), NaN where a label is wrong, as is the result.
    """
    if isinstance(valid, int):
        return normalizer(mode, outer, inner, valid)
    return xp.maximum(valid, 1) if mode == "VALID" else 0 * valid + normalizer(mode, outer, inner, 0)


def require_label_count(bottom: Blob, label: Blob, axis: int, axis_name: str) -> None:
    """Raise a `ShapeError` unless there is one label for each position besides the class axis of `bottom`."""
    predictions = bottom.count_between(0, axis) * bottom.count_between(axis + 1)
    if predictions != label.count:
        raise ShapeError(
            f"Number of labels must match number of predictions: {label.count} against {predictions}.",
            f"E.g., if {axis_name} axis == 1 and prediction shape is (N, C, H, W), label count (number of labels) must "
            "be N*H*W, with integer values in {0, 1, ..., C-1}.",
        )


def require_one_label_per_image(label: Blob) -> None:
    """Raise a `ShapeError` unless the labels have the shape (N,), or (N, 1, ...)."""
    if label.num_axes < 1 or label.count_between(1) != 1:
        raise ShapeError(
            f"the labels must have channels, height and width 1, shape (N,) or (N, 1, 1, 1): {label.shape}."
        )


def ignore_label(param: Any) -> int | None:
    """The `ignore_label` of a `LossParameter` or an `AccuracyParameter`, where it is given."""
    return int(param.ignore_label) if param.HasField("ignore_label") else None
