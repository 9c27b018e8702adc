"""Whether a field holds one value or several, and whether it may be missing, in protobuf's older and newer releases."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor


def is_repeated(field: FieldDescriptor) -> bool:
    """Tell whether a field holds a list. (`label` is gone from protobuf 7, `is_repeated` is new in 6.31.)"""
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == FieldDescriptor.LABEL_REPEATED)


def is_required(field: FieldDescriptor) -> bool:
    """Tell whether a message without the field is incomplete."""
    if hasattr(field, "is_required"):
        return bool(field.is_required)
    return bool(field.label == FieldDescriptor.LABEL_REQUIRED)
