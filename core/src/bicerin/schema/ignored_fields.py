"""Fields that are read and then ignored: for an error, where a layer would compute something else than its fork does.

A schema may bring fields for layers that are someone else's: `bicerin-forks` brings nothing but fields, so that nets of
Caffe's forks parse. What a layer that does not know a field computes is said by the field, in the option
`(bicerin.without)` of its .proto: something else, the same, or something similar.

A layer is taken to know the fields of its own distribution and of those that this one requires, but for those that name
the types that honour them (`(bicerin.honoured_by)`); nets and solvers, those that the core itself reads and the fields
of distributions that bring hooks or solvers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from bicerin.discovery.registry import found_once, normalized, plugin_index
from bicerin_proto.cardinality import is_repeated

#: Messages that are looked at by themselves, or hold nothing that a person set.
_APART = ("NetParameter", "LayerParameter", "V1LayerParameter", "BlobProto")

_GROUPS_THAT_SEE_ALL = ("bicerin.plugins", "bicerin.solvers")

#: What the core itself reads, where a plugin brings the field.
_OF_THE_CORE = {("FillerParameter", "alpha")} | {
    ("SolverParameter", name)
    for name in (
        "warmup_iter", "warmup_start_lr", "stagelr", "stageiter", "min_lr", "rampup_interval", "rampup_lr",
        "local_lr_auto", "local_gw_ratio", "larc", "larc_policy", "larc_eta",
        "momentum_policy", "max_momentum", "momentum_power", "weight_decay_policy", "weight_decay_power",
    )
}  # fmt: skip

#: How forks call 16 bits.
_HALF = ("FLOAT16", "CAFFE_HALF")

_MOST_LAYERS = 3
"""How many layers are named for a field."""


def ignored_fields(message: Any, schema: Any, owners: Mapping[str, str]) -> dict[str, list[str]]:
    """By what is computed without them ("OTHER" or "SIMILAR"): descriptions of the fields that nobody uses.

    One is such as `batch_norm_param.scale_bias (of bicerin-forks) in layer "bn1"`, or, where another layer of the same
    distribution would honour it, `loss_param.label_smoothing (of SoftmaxWithLoss) in layer "loss"`.

    Args:
        message: an upgraded NetParameter, or a SolverParameter.
        schema: the merged schema that it was read with.
        owners: layer type -> distribution. Layers that nobody brings are left out.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    if schema.added:
        for path, added in _unknown(message, schema, _known_to_the_core):
            found[path, added.without, _whose(added)] = []
        for layer in getattr(message, "layer", ()):
            owner = owners.get(layer.type)
            if owner is not None:
                for path, added in _unknown(layer, schema, partial(known_to, layer.type, owner)):
                    found.setdefault((path, added.without, _whose(added)), []).append(layer.name)
    said: dict[str, list[str]] = {"OTHER": [], "SIMILAR": []}
    for (path, without, whose), layers in sorted(found.items()):
        if without in said:
            said[without].append(f"{path} (of {whose}){_in(layers)}")
    return said


def asks_for_half(message: Any, schema: Any) -> bool:
    """Whether a net, one of its layers, or a solver asks for values of 16 bits, in a field that a plugin added."""
    return any(
        field.enum_type.values_by_number[value].name in _HALF
        for one in (message, *getattr(message, "layer", ()))
        for field, value in one.ListFields()
        if (one.DESCRIPTOR.name, field.name) in schema.added and field.enum_type is not None and not is_repeated(field)
    )


def _unknown(message: Any, schema: Any, known: Callable[[Any], bool], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Paths of the fields that are set to something and that plugins added, without those known, and `AddedField`s."""
    for field, value in message.ListFields():
        path = prefix + field.name
        added = schema.added.get((message.DESCRIPTOR.full_name.removeprefix("caffe."), field.name))
        if added is not None and not known(added):
            if is_repeated(field) or field.message_type is not None or value != field.default_value:
                yield path, added
        elif field.message_type is not None and field.message_type.name not in _APART:
            for one in value if is_repeated(field) else [value]:
                yield from _unknown(one, schema, known, f"{path}.")


def known_to(layer_type: str, owner: str, added: Any) -> bool:
    """Whether layers of a type that a distribution brings honour an `AddedField`, its own or of what it requires."""
    if (added.message, added.name) in _OF_THE_CORE:
        return True
    if added.honoured_by and layer_type not in added.honoured_by:
        return False
    return not {normalized(owner), *_required(owner)}.isdisjoint(map(normalized, added.distributions))


def _whose(added: Any) -> str:
    return ", ".join(sorted(added.honoured_by) or added.distributions)


def _known_to_the_core(added: Any) -> bool:
    return _see_all(added.distributions) or (added.message, added.name) in _OF_THE_CORE


@found_once
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
