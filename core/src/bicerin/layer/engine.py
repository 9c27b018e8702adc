"""Engines: other code for layer types that are installed, such as a library of the processor's maker.

An engine is a class, found through the entry-point group `bicerin.engines`, that names a subclass for each layer type
that it computes. The subclass takes the layer's place in a net and is free in how it computes; it inherits what the
engine cannot do. What it has in another order of memory it hands on so, from layer to layer, through
`Memory.arrange`: see `bicerin.device.Layout`.

Which engine a layer gets: none, where `BICERIN_ENGINE` is `caffe` or the layer's own `engine` is CAFFE; the one that
either names; otherwise the first by name that is installed, can be used here, and has the type.
"""

from __future__ import annotations

import importlib
import logging
import os
from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from bicerin.discovery.registry import Provider, Registry, found_once, require_class
from bicerin.errors import BrokenPluginError, UnknownNameError
from bicerin.layer.context import Context
from bicerin.layer.layer import Layer

_log = logging.getLogger("bicerin.layer")


class Engine(ABC):
    """Base of all engines. Nothing is imported of it before a layer of a type that it has is made.

    Attributes:
        name: the name of its entry point.
        aliases: what the field `engine` of a prototxt calls it, besides.
        layers: layer type -> "module:class", a subclass of the class that computes it otherwise.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    layers: ClassVar[Mapping[str, str]]

    def place(self, layer_type: str, context: Context) -> str | None:
        """ "module:class" of what computes a layer type in this context, such as its phase; None for no class."""
        return self.layers.get(layer_type)

    def why_not(self, context: Context) -> str | None:
        """Why it cannot be used for layers in this context; None where it can."""
        return None


def _check_engine(provider: Provider, cls: Any) -> None:
    require_class(provider, cls, Engine, "bicerin.layer.Engine", "name")


engines = Registry("bicerin.engines", "engine", {"onednn": "bicerin-onednn"}.get, _check_engine)

#: What `engine` may say besides names of engines: no choice; Caffe's own code; and NVIDIA's, which devices decide.
_NO_CHOICE = ("", "DEFAULT", "CUDNN")
_OWN = "CAFFE"


@found_once
def _installed() -> tuple[Engine, ...]:
    found = []
    for name in engines.providers():
        try:
            found.append(engines.load(name)())
        except BrokenPluginError as error:
            _log.warning("%s", error)
    return tuple(found)


@found_once
def _reported(engine: str, why: str, asked: bool) -> None:
    """Whoever installs all packages has engines without their libraries, and has not asked for any."""
    _log.log(logging.INFO if asked else logging.DEBUG, "the engine %s is not used: %s", engine, why)


def engine_class(cls: type[Layer], definition: Any, context: Context) -> type[Layer]:
    """The class that computes a layer: an engine's, or the layer's own.

    Args:
        cls: its own.
        definition: the `LayerParameter`.
        context: what the layer will run in.

    Raises:
        UnknownNameError: `BICERIN_ENGINE` names no engine that is installed.
        BrokenPluginError: the engine's class is not a subclass of the layer's.
    """
    asked = os.environ.get("BICERIN_ENGINE", "")
    if asked and asked.upper() != _OWN and asked not in engines:
        known = ", ".join(("caffe", *engines.providers()))
        raise UnknownNameError(f'BICERIN_ENGINE is "{asked}", but no such engine is installed; there are: {known}.')
    wanted = asked or _engine_field(definition)
    if wanted.upper() == _OWN:
        return cls
    for engine in _installed():
        if wanted.upper() not in (*_NO_CHOICE, engine.name.upper(), *engine.aliases):
            continue
        place = engine.place(cls.type, context)
        if place is None:
            continue
        why_not = engine.why_not(context)
        if why_not is not None:
            _reported(engine.name, why_not, wanted.upper() not in _NO_CHOICE)
            continue
        found = _load(engine, place)
        # Another distribution's layer of the same type has no part in the engine.
        if issubclass(found, cls):
            return found
    return cls


def is_named(engine: str, definition: Any) -> bool:
    """Whether the user, or the layer itself, names this engine, which then need not be the fastest way."""
    asked = os.environ.get("BICERIN_ENGINE", "") or _engine_field(definition)
    named = engines.load(engine)
    return asked.upper() in (named.name.upper(), *named.aliases)


def _load(engine: Engine, place: str) -> type[Layer]:
    module, _, name = place.partition(":")
    try:
        found: type[Layer] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise BrokenPluginError(f'the engine "{engine.name}" names {place}, which cannot be had: {error}.') from error
    return found


def _engine_field(definition: Any) -> str:
    """What the `engine` of the layer's own parameters says."""
    for field, value in definition.ListFields():
        if field.message_type is None or field.is_repeated:
            continue
        engine = field.message_type.fields_by_name.get("engine")
        if engine is not None and engine.enum_type is not None and value.HasField("engine"):
            return str(engine.enum_type.values_by_number[value.engine].name)
    return ""
