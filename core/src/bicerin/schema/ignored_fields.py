"""Fields that are read and then ignored, for a warning.

A schema may bring fields for layers that are someone else's: `bicerin-forks` brings nothing but fields, so that nets of
Caffe's forks parse. A layer that does not know such a field runs without it, and computes something else than its fork
would.

A layer is taken to know the fields of its own distribution and of those that this one requires; nets and solvers, the
fields of distributions that bring hooks or solvers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from bicerin.discovery.registry import normalized, plugin_index
from bicerin_proto.cardinality import is_repeated

#: Messages that are looked at by themselves, or hold nothing that a person set.
_APART = ("NetParameter", "LayerParameter", "V1LayerParameter", "BlobProto")

_GROUPS_THAT_SEE_ALL = ("bicerin.plugins", "bicerin.solvers")

_MOST_LAYERS = 3
"""How many layers are named for a field."""


def ignored_fields(message: Any, schema: Any, owners: Mapping[str, str]) -> list[str]:
    """Descriptions such as `batch_norm_param.scale_bias (of bicerin-forks) in layer "bn1"`.

    Args:
        message: an upgraded NetParameter, or a SolverParameter.
        schema: the merged schema that it was read with.
        owners: layer type -> distribution. Layers that nobody brings are left out.
    """
    if not schema.added:
        return []
    found: dict[tuple[str, str], list[str]] = {}
    for path, added in _added(message, schema):
        if not _see_all(added.distributions):
            found[path, ", ".join(added.distributions)] = []
    for layer in getattr(message, "layer", ()):
        owner = owners.get(layer.type)
        for path, added in _added(layer, schema) if owner is not None else ():
            if not _known_to(owner, added.distributions):
                found.setdefault((path, ", ".join(added.distributions)), []).append(layer.name)
    return [f"{path} (of {distributions}){_in(layers)}" for (path, distributions), layers in sorted(found.items())]


def _added(message: Any, schema: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Paths of the fields that are set to something and that plugins added, with their `AddedField`."""
    for field, value in message.ListFields():
        path = prefix + field.name
        added = schema.added.get((message.DESCRIPTOR.name, field.name))
        if added is not None:
            if is_repeated(field) or field.message_type is not None or value != field.default_value:
                yield path, added
        elif field.message_type is not None and field.message_type.name not in _APART:
            for one in value if is_repeated(field) else [value]:
                yield from _added(one, schema, f"{path}.")


def _known_to(owner: str | None, distributions: tuple[str, ...]) -> bool:
    return owner is not None and not {normalized(owner), *_required(owner)}.isdisjoint(map(normalized, distributions))


@lru_cache(maxsize=64)
def _required(distribution: str) -> frozenset[str]:
    from importlib_metadata import PackageNotFoundError, requires

    try:
        stated = requires(distribution) or ()
    except PackageNotFoundError:
        return frozenset()
    return frozenset(normalized(re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0]) for line in stated)


def _see_all(distributions: tuple[str, ...]) -> bool:
    return any(
        provider.distribution in distributions
        for group in _GROUPS_THAT_SEE_ALL
        for providers in plugin_index().get(group, {}).values()
        for provider in providers
    )


def _in(layers: list[str]) -> str:
    if not layers:
        return ""
    names = ", ".join(f'"{name}"' for name in layers[:_MOST_LAYERS])
    more = f" and {len(layers) - _MOST_LAYERS} more" if len(layers) > _MOST_LAYERS else ""
    return f" in layer{'s' if len(layers) > 1 else ''} {names}{more}"
