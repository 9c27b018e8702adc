"""What is known of a layer type without running it: its text, parameters, counts, devices, and an example."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from bicerin.cli.plugins_check import cases_registry
from bicerin.cli.plugins_list import implementations
from bicerin.discovery.registry import Provider, plugin_index
from bicerin.errors import BicerinError
from bicerin.layer.abilities import HasExample
from bicerin.layer.layer import Layer, layers
from bicerin.schema.ignored_fields import known_to
from bicerin.schema.installed_schema import read_layer, schema, schemas
from bicerin_proto.cardinality import is_repeated
from bicerin_proto.comments import field_comments
from bicerin_proto.fragment import Fragment


@dataclass(frozen=True)
class Parameter:
    """One field.

    Attributes:
        name: with the message that it is in: "pooling_param.kernel_size".
        type: such as "uint32", "repeated float", "MAX | AVE", or the name of a message.
        default: as a prototxt has it; "" where there is none.
        comment: what it means, from the .proto; "" where that says nothing.
        added_by: the distributions that add it to Caffe's schema; none for one of Caffe's own.
    """

    name: str
    type: str
    default: str
    comment: str
    added_by: tuple[str, ...]


@dataclass(frozen=True)
class LayerDescription:
    """One layer type.

    Attributes:
        type, distribution, version: what it is called, and who brings it.
        text: what it computes, and where that comes from.
        blobs: its bottoms and tops in words.
        bottom, top: how many of each, such as "1 to 2".
        equal, auto_top: see `BlobCounts`.
        runs: what each device runs.
        exports: the formats that it is exported to: "onnx", "torch".
        parameters: the fields of the messages that its code reads, without those of other distributions.
        example: a net with the layer, as a prototxt that runs, of one that reads files once they are there; "" where
            its package has neither a case for it nor an example.
    """

    type: str
    distribution: str
    version: str
    text: str
    blobs: str
    bottom: str
    top: str
    equal: bool
    auto_top: bool
    runs: dict[str, str]
    exports: list[str]
    parameters: list[Parameter]
    example: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def describe_layer(layer_type: str, layer_providers: Mapping[str, str] | None = None) -> LayerDescription:
    """What is known of a layer type.

    Raises:
        PluginError: nobody brings it, several do and none is chosen, or its import fails.
    """
    provider = layers.provider(layer_type, layer_providers)
    cls: type[Layer] = layers.loaded(provider)
    counts = cls.counts
    return LayerDescription(
        layer_type,
        provider.distribution,
        provider.version,
        inspect.getdoc(inspect.getmodule(cls)) or "",
        inspect.getdoc(cls) or "",
        str(counts.bottom),
        str(counts.top),
        counts.equal,
        counts.auto_top,
        dict(zip(("cpu", "gpu"), implementations(cls), strict=True)),
        [name for name in ("onnx", "torch") if layer_type in plugin_index().get(f"bicerin.{name}", {})],
        list(_parameters(cls, provider.distribution)),
        example_of(layer_type, cls, provider),
    )


# Parameters


def _parameters(cls: type[Layer], distribution: str) -> Iterator[Parameter]:
    fields = schema().LayerParameter.DESCRIPTOR.fields_by_name
    for name, read in messages_read_by(cls).items():
        if name not in fields or fields[name].message_type is None:
            continue
        message = fields[name].message_type
        for field in message.fields:
            added = schema().added.get((message.full_name.partition(".")[2], field.name))
            if (not read or field.name in read) and (added is None or known_to(cls.type, distribution, added)):
                yield _parameter(name, field, added)


def messages_read_by(cls: type[Layer]) -> dict[str, set[str]]:
    """The messages of `LayerParameter` that the modules of a layer and of its bases read: `pooling_param`, ...

    With the fields that are read, where only bases read the message, field by field; else with none, which means all.
    """
    found: dict[str, set[str]] = {}
    whole: set[str] = set()
    for one in cls.__mro__:
        module = inspect.getmodule(one)
        if module is None or not issubclass(one, Layer) or one is Layer:
            continue
        own = one.__module__.partition(".")[0]
        if own == "bicerin":  # what all layers have
            continue
        for message, field in re.findall(r"\.param\.(\w+_param)\b(?:\.([a-z]\w*))?", inspect.getsource(module)):
            found.setdefault(message, set()).add(field)
            if one is cls or not field:
                whole.add(message)
    return {message: set() if message in whole else fields for message, fields in found.items()}


def _parameter(outer: str, field: Any, added: Any) -> Parameter:
    return Parameter(
        f"{outer}.{field.name}",
        _type_name(field),
        _default(field),
        _comments().get((field.containing_type.full_name, field.name), ""),
        added.distributions if added is not None else (),
    )


def _type_name(field: Any) -> str:
    if field.enum_type is not None:
        name = " | ".join(value.name for value in field.enum_type.values)
    elif field.message_type is not None:
        name = field.message_type.name
    else:
        name = _SCALARS[field.type]
    return f"repeated {name}" if is_repeated(field) else name


_SCALARS = {
    1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool", 9: "string",
    12: "bytes", 13: "uint32", 15: "sfixed32", 16: "sfixed64", 17: "sint32", 18: "sint64",
}  # fmt: skip


def _default(field: Any) -> str:
    if not field.has_default_value:
        return ""
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[field.default_value].name)
    value = field.default_value
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@lru_cache(maxsize=1)
def _comments() -> dict[tuple[str, str], str]:
    """(full name of a message, field) -> its comment, from the sources of all schemas that are installed."""
    found: dict[tuple[str, str], str] = {}
    for provider in (one for providers in schemas.providers().values() for one in providers):
        namespace = Fragment(provider.distribution, b"").namespace
        for (message, name), comment in field_comments(_source(provider)).items():
            for full_name in (f"caffe.{message}", f"caffe.{namespace}.{message}"):
                found[full_name, name] = comment
    own = (files("bicerin_proto") / "caffe.proto").read_text("utf-8")
    return found | {(f"caffe.{message}", name): comment for (message, name), comment in field_comments(own).items()}


def _source(provider: Provider) -> str:
    """The .proto beside a plugin's compiled schema; "" where it ships none."""
    package, _, file = provider.value.partition(":")
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = (Path(folder) / file).with_suffix(".proto")
        if path.is_file():
            return path.read_text("utf-8")
    return ""


# An example


def example_of(layer_type: str, cls: type[Layer], provider: Provider) -> str:
    """A net with the layer in it, made of the first case that its package has for the type, or the class's own."""
    for case in _cases(provider.distribution):
        definition = read_layer(case.definition)
        if definition.type == layer_type:
            return _net(definition, case, cls)
    return f"{inspect.cleandoc(cls.example)}\n" if issubclass(cls, HasExample) else ""


@lru_cache(maxsize=8)
def _cases(distribution: str) -> tuple[Any, ...]:
    found: list[Any] = []
    for providers in cases_registry.providers().values():
        for one in providers:
            if one.distribution == distribution:
                try:
                    found += one.load()
                except BicerinError:  # what `plugins check` is for
                    continue
    return tuple(found)


def _net(definition: Any, case: Any, cls: type[Layer]) -> str:
    layer = type(definition)()
    layer.CopyFrom(definition)
    shapes = [array.shape for array in case.arrays()]
    named = len(layer.top) or (1 if 1 in cls.counts.top else cls.counts.top.least)
    tops = named if case.tops is None else case.tops
    layer.name = layer.name or layer.type.lower()
    bottoms = [f"in{index}" if len(shapes) > 1 else "in" for index in range(len(shapes))]
    del layer.bottom[:]
    layer.bottom.extend(bottoms)
    del layer.top[:]
    layer.top.extend(f"out{index}" if tops > 1 else "out" for index in range(tops))
    lines = []
    for name, shape in zip(bottoms, shapes, strict=True):
        dims = " ".join(f"dim: {size}" for size in shape)
        lines.append(f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n')
    body = text_format.MessageToString(layer, as_utf8=True)
    lines.append("layer {\n" + "".join(f"  {line}\n" for line in body.splitlines()) + "}\n")
    return "".join(lines)
