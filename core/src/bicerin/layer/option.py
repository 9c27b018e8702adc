"""Options of a layer that name one of several ways to compute."""

from __future__ import annotations

from typing import Any

from bicerin.errors import LayerError


def enum_name(param: Any, field: str, known: tuple[str, ...]) -> str:
    """The name of an enum field's value.

    The schema has the values of all forks whose fields are installed, of which a layer knows those of its own.

    Raises:
        LayerError: the value is not one of `known`.
    """
    descriptor = param.DESCRIPTOR.fields_by_name[field]
    name: str = descriptor.enum_type.values_by_number[getattr(param, field)].name
    if name not in known:
        raise LayerError(f"{field}: {name} is not known to this layer.", f"It knows {', '.join(known)}.")
    return name
