"""What an error about a name adds: what is close, where the name belongs, which distribution brings it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor, EnumDescriptor

from bicerin_proto import known
from bicerin_proto.schema import Schema

_OUTER = ("NetParameter", "SolverParameter", "LayerParameter")

_MOST_PLACES = 6
"""A hint that lists more places than this is none."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `Did you mean "x"?` for the closest of `names`, or "" where none is close."""
    by_case = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.75)
    return f'Did you mean "{by_case[close[0]]}"?' if close else ""


def unknown_field(schema: Schema, descriptor: Descriptor, name: str) -> str:
    """Return what would be right where a message has no field `name`."""
    return _other_meaning(schema, descriptor) or _elsewhere(schema, descriptor, name)


def _other_meaning(schema: Schema, descriptor: Descriptor) -> str:
    """Name the plugin that means another message by the field that the text is inside of."""
    for conflict in schema.conflicts:
        outer = getattr(schema, conflict.message).DESCRIPTOR
        field = outer.fields_by_name.get(conflict.name) if isinstance(outer, Descriptor) else None  # or an enum's value
        if field is not None and field.message_type is descriptor:
            other = next(one for one, _ in conflict.meanings if one != conflict.winner)
            return f'{other} has another "{conflict.name}": providers={{"{conflict.name}": "{other}"}} chooses it.'
    return ""


def _elsewhere(schema: Schema, descriptor: Descriptor, name: str) -> str:
    message = descriptor.name.removeprefix("V1")
    distribution = known.field_distribution(message, name)
    if distribution and name not in getattr(schema, message).DESCRIPTOR.fields_by_name:
        return f"It comes with {distribution}: pip install {distribution}"
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
    return ""


def unknown_value(schema: Schema, enum: EnumDescriptor, name: str) -> str:
    """Return what would be right where an enum has no value `name`."""
    names = list(enum.values_by_name)
    return f"{did_you_mean(name, names)} Valid: {', '.join(names)}.".strip()
