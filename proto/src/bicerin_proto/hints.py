"""What an error about a name adds: what is close, where the name belongs, which distribution brings it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from bicerin_proto.distribution import field_distribution, layer_distribution
from bicerin_proto.layer_types import V1_TYPES
from bicerin_proto.quotation import printable
from bicerin_proto.schema import Schema

_OUTER = ("NetParameter", "SolverParameter", "LayerParameter")

_MOST_PLACES = 6
"""A hint that lists more places than this helps nobody."""

_MOST_FIELDS = 16
"""A message with more fields than this is not told in a line."""

_LONGEST_NAME = 100
"""A longer name is nothing that was mistyped."""

_OLD_FIELDS = {"blobs_lr": "lr_mult", "weight_decay": "decay_mult", "blob_share_mode": "share_mode"}
"""Fields of `layers` -> what they are in the `param` of a `layer`."""

_V1_TYPE = "caffe.V1LayerParameter.LayerType"
_OLD_TYPES = {today: old for old, today in V1_TYPES.items() if today}


def did_you_mean(name: str, names: Iterable[str], most: int = 1) -> str:
    """Return `Did you mean "x" or "y"?` for the closest of `names`, `most` of them; "" where none is close."""
    if len(name) > _LONGEST_NAME:
        return ""
    by_case = {one.lower(): one for one in names}
    lower = name.lower()
    close = [lower] if lower in by_case else difflib.get_close_matches(lower, by_case, n=most, cutoff=0.75)
    quoted = " or ".join(f'"{by_case[one]}"' for one in close)
    return f"Did you mean {quoted}?" if close else ""


def comes_with(distribution: str) -> str:
    """Return how to get what a distribution brings."""
    return f"It comes with {distribution}: pip install {distribution}"


def provider(schema: Schema, descriptor: Descriptor, name: str) -> str:
    """Return who brings the field `name`, which a message lacks; "" where nobody is known to."""
    message = descriptor.name.removeprefix("V1")
    distribution = field_distribution(message, name)
    if distribution and name not in getattr(schema, message).DESCRIPTOR.fields_by_name:
        return comes_with(distribution)
    return ""


def unknown_field(schema: Schema, descriptor: Descriptor, name: str) -> str:
    """Return what would be right where a message has no field `name`, and nobody is known to bring one."""
    return _other_meaning(schema, descriptor) or _older(descriptor, name) or _elsewhere(schema, descriptor, name)


def _other_meaning(schema: Schema, descriptor: Descriptor) -> str:
    """Name the plugin that has another message for the field that the text is inside."""
    for conflict in schema.conflicts:
        outer = getattr(schema, conflict.message).DESCRIPTOR
        field = outer.fields_by_name.get(conflict.name) if isinstance(outer, Descriptor) else None  # or an enum's value
        if field is not None and field.message_type is descriptor:
            other = next(one for one, _ in conflict.meanings if one != conflict.winner)
            return f'{other} has another "{conflict.name}": providers={{"{conflict.name}": "{other}"}} chooses it.'
    return ""


def _older(descriptor: Descriptor, name: str) -> str:
    """Say what a field of `layers`, the older format, is in `layer`."""
    if descriptor.name == "LayerParameter" and name in _OLD_FIELDS:
        return f"In `layer` it is `param {{ {_OLD_FIELDS[name]}: }}`, one `param` per blob."
    return ""


def _elsewhere(schema: Schema, descriptor: Descriptor, name: str) -> str:
    outer = [one for one in _OUTER if name in getattr(schema, one).DESCRIPTOR.fields_by_name]
    if outer:
        return f"It is a field of {' and of '.join(outer)}."
    if close := did_you_mean(name, descriptor.fields_by_name):
        return close
    inner = [
        one.name
        for one in descriptor.fields
        if one.message_type is not None and name in one.message_type.fields_by_name and one.name.endswith("_param")
    ]
    if 0 < len(inner) <= _MOST_PLACES:
        return f"It belongs inside {' or '.join(inner)} {{ }}."
    if 0 < len(descriptor.fields) <= _MOST_FIELDS:
        return f"Valid: {', '.join(descriptor.fields_by_name)}."
    return ""


def not_a_message(descriptor: Descriptor, field: str, value: str) -> str:
    """Return what would be right where the field, which holds a message, is given a value such as `param: "w"`."""
    if (descriptor.name, field) == ("LayerParameter", "param"):
        return f'In `layer` it is `param {{ name: "{value}" }}`; `param: "{value}"` is of `layers`, the older format.'
    return ""


def not_a_value(descriptor: Descriptor, field: str) -> str:
    """Return what would be right where the field, which holds a value, is given a message."""
    if (descriptor.name, field) == ("V1LayerParameter", "param"):
        return 'In `layers` it is `param: "name"`, and beside it `blobs_lr: 1` and `weight_decay: 1`.'
    return ""


def unquoted(field: FieldDescriptor, value: str) -> str:
    """Return what would be right where a string is not in quotes."""
    if (field.containing_type.name, field.name) == ("LayerParameter", "type") and V1_TYPES.get(value):
        return f'In `layer` it is "{V1_TYPES[value]}"; {value} is of `layers`, the older format.'
    return f'Put it in quotes: "{printable(value)}".'


def unknown_value(enum: EnumDescriptor, name: str, *, quoted: bool = False) -> str:
    """Return what would be right where an enum has no value `name`, or has it and was given it in quotes."""
    names = list(enum.values_by_name)
    if enum.full_name == _V1_TYPE and name in _OLD_TYPES:
        return f'In `layers` it is {_OLD_TYPES[name]}, without quotes; "{name}" is of `layer`, today\'s format.'
    if enum.full_name == _V1_TYPE and layer_distribution(name):
        return f'`layers`, the older format, has no such type; "{name}" is of `layer`, today\'s format.'
    if quoted and name in names:
        return f"Write it without quotes: {name}."
    return f"{did_you_mean(name, names)} Valid: {', '.join(names)}.".strip()


def blob_count(layer_type: str, wanted: int, given: int) -> str:
    """Return why weights may have another number of blobs than the layer: whose they are; "" where nobody knows."""
    if layer_type == "BatchNorm" and (wanted, given) == (3, 5):
        return (
            "The file is of NVIDIA's or Intel's BatchNorm, which scales and shifts too: give the layer "
            "batch_norm_param { scale_bias: true }."
        )
    return ""
