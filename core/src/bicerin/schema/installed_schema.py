"""The schema that prototxt is read with: Caffe's own, merged with what the installed plugins add.

A plugin names its compiled `.proto` in the entry-point group `bicerin.schemas`, as `package:file`:

    [project.entry-points."bicerin.schemas"]
    rcnn = "bicerin_rcnn:rcnn.binpb"

The file is read from the package's folder; nothing is imported for it.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import bicerin_proto
from bicerin.discovery import configuration
from bicerin.discovery.registry import Provider, Registry, normalized
from bicerin.errors import BrokenPluginError, IgnoredOptionError, ProtoError, UnknownNameError
from bicerin.layer.layer import layers
from bicerin.schema.ignored_fields import asks_for_half, ignored_fields
from bicerin_proto.hints import did_you_mean

_log = logging.getLogger("bicerin.schema")

schemas = Registry("bicerin.schemas", "schema")


def schema(layer_providers: Mapping[str, str] | None = None) -> Any:
    """The merged schema.

    Args:
        layer_providers: layer type -> distribution, as for a net. Where two plugins mean different things by one field,
            the fields of a distribution that is chosen here, or in the user's configuration, win.
    """
    fragments = _fragments()
    if not fragments:
        return bicerin_proto.default_schema()
    return _merged(fragments, frozenset(map(normalized, _chosen(layer_providers).values())))


def read_net(source: Any, layer_providers: Mapping[str, str] | None = None) -> bicerin_proto.Document:
    """A net, read with the fields of the installed plugins.

    Raises:
        ProtoError: see `bicerin_proto.read_net`.
        IgnoredOptionError: a field is set that no layer here honours, and that changes what one computes.
    """
    return _read(bicerin_proto.read_net, source, layer_providers)


def read_solver(source: Any, layer_providers: Mapping[str, str] | None = None) -> bicerin_proto.Document:
    """As `read_net`, of a solver."""
    return _read(bicerin_proto.read_solver, source, layer_providers)


def _read(read: Any, source: Any, layer_providers: Mapping[str, str] | None) -> bicerin_proto.Document:
    merged, owners = schema(layer_providers), layer_owners(layer_providers)
    document: bicerin_proto.Document = read(source, merged, owners=owners, fork=named_fork(merged))
    ignored = ignored_fields(document.message, merged, owners)
    other, similar = ignored["OTHER"], ignored["SIMILAR"]
    if other and not configuration.ignores_unknown_options():
        for layer in getattr(document.message, "layer", ()):
            if layer.type in layers:
                layers.provider(layer.type, layer_providers)  # where two bring it, that is the reason
        raise IgnoredOptionError(
            f"{document.name}: no installed layer or solver knows {'; '.join(other)}: the results would differ from "
            "those of the program that it was written for. Remove it, or compute without it: --ignore-unknown-options, "
            "ignore_unknown_options=True, or BICERIN_IGNORE_UNKNOWN_OPTIONS=1 in the environment."
        )
    if asks_for_half(document.message, merged):
        _say_half(document.name)
    if other or similar:
        _log.warning(
            "%s: ignored, since no installed layer or solver knows it: %s", document.name, "; ".join(other + similar)
        )
    return document


@lru_cache(maxsize=64)
def _say_half(name: str) -> None:
    """Once for each file."""
    _log.info("%s: asks for values of 16 bits; everything is computed in float32, or as dtype says", name)


def named_fork(merged: Any) -> str | None:
    """The fork that was named (`--schema`), as `bicerin_proto.read_net` takes it.

    Raises:
        UnknownNameError: no installed plugin knows numbers of such a fork, and none is called so.
    """
    name = configuration.fork()
    if name is None or name in merged.forks:
        return name
    distributions = {normalized(fragment.distribution): fragment.distribution for fragment in _fragments()}
    for one in (name, f"bicerin-{name}"):
        if normalized(one) in distributions:
            return distributions[normalized(one)]
    known = sorted(merged.forks | set(distributions.values()))
    raise UnknownNameError(
        f'no installed plugin knows the numbers of a fork "{name}". {did_you_mean(name, known)} '
        f"There are: {', '.join(known)}.".replace("  ", " ")
    )


def layer_owners(layer_providers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Layer type -> the distribution that brings it, so that binary layers are read with the fields of that plugin."""
    chosen = _chosen(layer_providers)
    owners = {}
    for name, found in layers.providers().items():
        choice = normalized(chosen.get(name, ""))
        owner = next((one for one in found if normalized(one.distribution) == choice), found[0])
        owners[name] = owner.distribution
    return owners


def _chosen(layer_providers: Mapping[str, str] | None) -> dict[str, str]:
    """The configuration's choices, with a warning about those that mean nothing, and the caller's, which precede them.

    Raises:
        UnknownNameError: the caller chooses for a type that does not exist, or a distribution that does not bring it.
    """
    configured = configuration.layer_providers()
    _warn_of(tuple(sorted(configured.items())))
    for name, distribution in (layer_providers or {}).items():
        if failure := _failure(name, distribution):
            raise UnknownNameError(f"layer_providers (--provider): {failure}")
    return {**configured, **(layer_providers or {})}


@lru_cache(maxsize=8)
def _warn_of(configured: tuple[tuple[str, str], ...]) -> None:
    for name, distribution in configured:
        if failure := _failure(name, distribution):
            _log.warning("%s: [layer_providers]: %s", configuration.path(), failure)


def _failure(name: str, distribution: str) -> str:
    try:
        layers.provider(name, {name: distribution})
    except UnknownNameError as error:
        return str(error)
    return ""


def read_fragment(provider: Provider) -> Any:
    """The `Fragment` that an entry point of the group `bicerin.schemas` names.

    Raises:
        BrokenPluginError: the package or the file is missing.
    """
    from bicerin_proto.fragment import Fragment

    package, _, file = provider.value.partition(":")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # the package that it should lie in is missing or broken
        spec = None
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        path = Path(folder) / file
        if path.is_file():
            return Fragment(provider.distribution, path.read_bytes())
    raise BrokenPluginError(
        f"{provider.distribution} {provider.version}: the schema {provider.value} is missing; "
        "its compiled .proto must be shipped in the package."
    )


@lru_cache(maxsize=1)
def _fragments_of(providers: tuple[Provider, ...]) -> tuple[Any, ...]:
    found = []
    for provider in providers:
        try:
            found.append(read_fragment(provider))
        except BrokenPluginError as error:
            _log.warning("the schema of %s is left out: %s", provider.distribution, error)
    return _sound(tuple(found))


def _sound(fragments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Those that fit into Caffe's schema. All are tried at once, since checking each one takes a merge of its own."""
    if not fragments:
        return ()
    try:
        bicerin_proto.Schema.merged(fragments)
    except ProtoError:
        sound = []
        for fragment in fragments:
            try:
                bicerin_proto.Schema.check(fragment)
            except ProtoError as error:
                _log.warning("the schema of %s is left out: %s", fragment.distribution, error)
            else:
                sound.append(fragment)
        return tuple(sound)
    return fragments


def _fragments() -> tuple[Any, ...]:
    return _fragments_of(tuple(provider for found in schemas.providers().values() for provider in found))


@lru_cache(maxsize=16)
def _merged(fragments: tuple[Any, ...], chosen: frozenset[str]) -> Any:
    fields = {
        f"{message.name}.{field.name}": fragment.distribution
        for fragment in fragments
        if normalized(fragment.distribution) in chosen
        for file in fragment.files()
        for message in file.message_type
        for field in message.field
    }
    return bicerin_proto.Schema.merged(fragments, fields)


def read_layer(definition: Any, layer_providers: Mapping[str, str] | None = None) -> Any:
    """A `LayerParameter` from the text of a layer, with or without `layer { }` around it, or from a message.

    Raises:
        ParseError: the text does not parse.
        ProtoError: it is not exactly one layer.
    """
    if not isinstance(definition, str):
        return definition
    text = definition.strip()
    if not text.startswith(("layer ", "layer{", "layers", "layer\n")):
        text = f"layer {{ {definition} }}"
    net = bicerin_proto.read_net(text + "\n", schema(layer_providers)).message
    if len(net.layer) != 1:
        raise ProtoError(f"expected one layer, but got {len(net.layer)}.")
    return net.layer[0]
