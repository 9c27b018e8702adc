"""`bicerin plugins new`: a package with a layer of one's own, ready to be changed."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
import zlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from bicerin.discovery.registry import normalized
from bicerin.errors import PluginError
from bicerin.layer.layer import layers
from bicerin_proto.quotation import system_reason

#: The names that the template uses for itself: it is a package that works.
_DISTRIBUTION, _PACKAGE, _TYPE, _MODULE = "my-plugin", "my_plugin", "MyLayer", "my_layer"
_NUMBER = 10_000_000

#: Field numbers of forks lie below, those that Bicerin gives inside of itself above.
_FREE_NUMBERS = (10_000_000, 380_000_000)


#: What a rival's tests need beside the other.
_OURS = '''"""The tests are about this package's {type}, whoever else brings one."""

from collections.abc import Iterator

import pytest
from bicerin.discovery.configuration import choosing


@pytest.fixture(autouse=True)
def _ours() -> Iterator[None]:
    with choosing({{"{type}": "{distribution}"}}):
        yield
'''


@click.command()
@click.argument("name")
@click.option("--directory", "-d", metavar="D", type=Path, help="Where to write it; by default a folder NAME here.")
@click.option("--layer", "layer_type", metavar="TYPE", help="The layer's type in a prototxt; by default from NAME.")
@click.option("--rival", is_flag=True, help="Allow a type that another distribution brings: nets choose.")
def new(name: str, directory: Path | None, layer_type: str | None, rival: bool) -> None:
    """Write a package that brings a layer of its own.

    NAME is the distribution's, what one will `pip install`. The package has the layer with parameters of its own,
    its tests, tox environments and a README, and works as it is.

    With --rival it brings a type that exists already, such as --layer Convolution; its module, class and parameters
    are named after the distribution, and a net chooses between the two.
    """
    distribution = _distribution(name)
    own = _camel(distribution.removeprefix("bicerin-"))
    if rival and layer_type is None:
        raise click.UsageError("--rival needs --layer TYPE, the type that another distribution brings.")
    chosen = layer_type is not None
    if rival:
        layer_type, own = layer_type or own, _layer_type(own, distribution, "choose another NAME")
    else:
        own = layer_type = _layer_type(
            layer_type or own,
            distribution,
            "choose another" if chosen else "choose one with --layer",
            ", or give --rival if it is to be a rival" if chosen else "",
        )
    target = directory if directory is not None else Path(distribution)
    try:
        render(distribution, layer_type, target, own)
    except OSError as error:
        raise PluginError(f"{target}: cannot be written: {system_reason(error)}") from error
    click.echo(f'{target}: the distribution {distribution} with the layer type "{layer_type}"')
    click.echo(f'Next: cd {target}; pip install -e ".[test]"; pytest')


def render(distribution: str, layer_type: str, target: Path, own: str | None = None) -> None:
    """Write the template with these names into `target`, a folder that is new or empty.

    Args:
        own: what module, class, message and field are named after; by default the layer's type.

    Raises:
        PluginError: there is something in the folder.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PluginError(f"{target} exists already, and nothing is overwritten; choose another with --directory.")
    own = own or layer_type
    module = _snake(own)
    number = _FREE_NUMBERS[0] + zlib.crc32(f"{distribution} {layer_type}".encode()) % _FREE_NUMBERS[1]
    names = {
        **{text.replace("?", _TYPE): text.replace("?", layer_type) for text in ('"?"', "`?`", "? = ", "layer type ?")},
        _DISTRIBUTION: distribution,
        _PACKAGE: _package(distribution),
        _TYPE: own,
        _MODULE: module,
        str(_NUMBER): str(number),
    }
    pattern = re.compile("|".join(map(re.escape, names)))

    def renamed(text: str) -> str:
        return pattern.sub(lambda found: names[found[0]], text)

    for source in _files(files("bicerin") / "template"):
        path = target / renamed("/".join(source.parts))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".binpb":
            path.write_bytes(_renamed_descriptor(source.read_bytes(), renamed, number))
        else:
            path.write_text(renamed(source.read_text("utf-8")), "utf-8")
    if own != layer_type:
        (target / "tests" / "conftest.py").write_text(_OURS.format(type=layer_type, distribution=distribution), "utf-8")


class _File:
    """A file of the template and where it stands in it."""

    def __init__(self, resource: Any, parts: tuple[str, ...]) -> None:
        self.parts = parts
        self.read_bytes: Callable[[], bytes] = resource.read_bytes
        self.read_text: Callable[[str], str] = resource.read_text


def _files(folder: Any, parts: tuple[str, ...] = ()) -> list[_File]:
    found = []
    for resource in sorted(folder.iterdir(), key=lambda resource: resource.name):
        inside = (*parts, resource.name)
        if resource.is_dir() and not resource.name.startswith((".", "__")):  # such are caches
            found += _files(resource, inside)
        elif resource.is_file():
            found.append(_File(resource, inside))
    return found


def _renamed_descriptor(data: bytes, renamed: Callable[[str], str], number: int) -> bytes:
    """The compiled .proto with other names: what protoc would make of the renamed source."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    compiled = FileDescriptorSet.FromString(data)
    _rename(compiled, renamed, number)
    return compiled.SerializeToString(deterministic=True)


def _rename(message: Any, renamed: Callable[[str], str], number: int) -> None:
    for field, value in message.ListFields():
        # A repeated field's value is a container; a single one's is a str, an int or a message.
        if isinstance(value, str):
            setattr(message, field.name, renamed(value))
        elif field.name == "number" and value == _NUMBER:
            message.number = number
        elif field.message_type is not None:
            for one in [value] if hasattr(value, "ListFields") else value:
                _rename(one, renamed, number)


def _distribution(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise click.BadParameter(
            f'"{name}" cannot name a distribution: letters, digits, and between them ".", "-" and "_".',
            param_hint="NAME",
        )
    distribution = normalized(name)
    package = _package(distribution)
    if not package.isidentifier() or keyword.iskeyword(package) or package in sys.stdlib_module_names:
        raise click.BadParameter(
            f'"{name}" would be imported as "{package}", which Python does not allow or has itself.', param_hint="NAME"
        )
    if importlib.util.find_spec(package) is not None:
        raise click.BadParameter(f'the name is taken: a package "{package}" is installed here.', param_hint="NAME")
    return distribution


def _layer_type(name: str, distribution: str, otherwise: str, or_rival: str = "") -> str:
    def refused(reason: str, more: str = "") -> click.BadParameter:
        return click.BadParameter(f'the layer type "{name}" {reason}; {otherwise}{more}.', param_hint="--layer")

    if not name.isascii() or not name.isidentifier() or not name[0].isalpha():
        raise refused("must be a word of letters and digits that begins with a letter, such as FocalLoss")
    module = _snake(name)
    if keyword.iskeyword(module) or module in ("cases", "__init__"):
        raise refused(f'would stand in a module "{module}", which cannot be')
    others = [p.distribution for p in layers.providers().get(name, ()) if normalized(p.distribution) != distribution]
    if brings := next(iter(others), layers.known(name)):
        raise refused(f"is brought by {brings}", or_rival)
    from bicerin_proto import default_schema

    caffe = default_schema()
    if f"{module}_param" in caffe.LayerParameter.DESCRIPTOR.fields_by_name:
        raise refused(f"would need the field {module}_param, which Caffe's schema has")
    if f"{name}Parameter" in caffe.LayerParameter.DESCRIPTOR.file.message_types_by_name:
        raise refused(f"would need the message {name}Parameter, which Caffe's schema has")
    return name


def _package(distribution: str) -> str:
    return distribution.replace("-", "_")


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("-"))


def _snake(name: str) -> str:
    """FocalLoss -> focal_loss, ROIPooling -> roi_pooling."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
