"""A net or solver as it was read: the message, the file it came from, and where its layers stood in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf.message import Message

from bicerin_proto.content import Content, read_content
from bicerin_proto.decode import check_strings, decode
from bicerin_proto.errors import ParseError, ProtoError
from bicerin_proto.places import NetPlaces
from bicerin_proto.schema import Schema, default_schema
from bicerin_proto.text import Places, parse_text
from bicerin_proto.tokens import Place
from bicerin_proto.upgrade import transformation, upgrade_net, upgrade_solver

_log = logging.getLogger("bicerin.proto")

Source: TypeAlias = str | bytes | PathLike[str] | Message
"""What a net or solver can be read from: a path, text, binary, or a message, which is copied."""


@dataclass(frozen=True)
class Document:
    """A NetParameter or SolverParameter and where it comes from.

    Attributes:
        message: the message; a copy, which you may change.
        path: its file, or None.
        text: its text; None where it was read from binary or from a message.
        upgrades: what was upgraded from an older format, in words.
        name: what a message to a person calls the source: the path, "<text>", "<bytes>" or "<message>".
        places: for each layer of the (upgraded) net, where it stood in the text.
    """

    message: Any
    path: Path | None = None
    text: str | None = None
    upgrades: tuple[str, ...] = ()
    name: str = "<message>"
    places: tuple[Place | None, ...] = field(default=(), repr=False)

    def line(self, index: int) -> int | None:
        """Return the line of the file at which layer `index` begins, counted from 1; None where there is no text."""
        place = self.places[index] if self.places else None
        return place.line if place else None

    def location(self, index: int) -> str:
        """Return `path:line` of layer `index`, or the document's name alone where there is no line."""
        line = self.line(index)
        return self.name if line is None else f"{self.name}:{line}"


def read_net(
    source: Source,
    schema: Schema | None = None,
    upgrade: bool = True,
    owners: Mapping[str, str] | None = None,
    fork: str | None = None,
) -> Document:
    """Read a NetParameter.

    Args:
        source: a Path; a str, which is text if it has a newline, a brace or `name: value` in it and a path otherwise;
            bytes, which are binary; or a message. Files are text or binary by what is in them.
        schema: whose fields the net may use; Caffe's own by default.
        upgrade: bring older formats up to date; one log line says what was done.
        owners: the distribution that owns each layer type that can be made; in binary, it decides what a number means
            that forks used for different things; in text, an error about a name in a layer of another type says so.
        fork: the fork whose binary file it is (one of `schema.forks`), or a distribution whose numbers it has, where
            that cannot be told from what is in it.

    Raises:
        ProtoError: there is no such file, or the net cannot be upgraded.
        ParseError: the text does not parse; with line and column.
        DecodeError: the binary is truncated or not a net, or a string in it is not UTF-8.
    """
    schema = schema or default_schema()
    net, content, places = _read(source, schema, "NetParameter", owners, fork)
    net_places = _net_places(net, places)
    upgrades: list[str] = []
    if upgrade:
        try:
            upgrades = upgrade_net(net, net_places)
        except ProtoError as error:
            raise _within(error, content) from None
        _report(content, upgrades)
        if ignored := transformation.ignored_fields(net):
            _log.warning("%s: ignored, as in Caffe (use transform_param): %s", _name(content), ", ".join(ignored))
    return _document(net, content, upgrades, tuple(net_places.layer))


def read_solver(
    source: Source,
    schema: Schema | None = None,
    upgrade: bool = True,
    owners: Mapping[str, str] | None = None,
    fork: str | None = None,
) -> Document:
    """Read a SolverParameter; see `read_net`, whose arguments and errors are the same.

    Upgrading also sets `snapshot_prefix` as Caffe does: to the solver's own file name without its suffix where it is
    not given, and to that name inside it where it is a folder.
    """
    schema = schema or default_schema()
    solver, content, _ = _read(source, schema, "SolverParameter", owners, fork)
    upgrades: list[str] = []
    if upgrade:
        try:
            upgrades = upgrade_solver(solver)
        except ProtoError as error:
            raise _within(error, content) from None
        _report(content, upgrades)
        if content is not None and content.path is not None:
            _set_snapshot_prefix(solver, content.path)
    return _document(solver, content, upgrades, ())


def _read(
    source: Source, schema: Schema, type_name: str, owners: Mapping[str, str] | None, fork: str | None
) -> tuple[Any, Content | None, Places]:
    if isinstance(source, Message):
        if source.DESCRIPTOR.name != type_name:
            raise TypeError(f"expected a {type_name}, got a {source.DESCRIPTOR.full_name}")
        message = schema.own(source)
        check_strings(message, _name(None))
        return message, None, {}
    message = getattr(schema, type_name)()
    content = read_content(source)
    if content.text is not None:
        places = parse_text(content.text, message, schema, path=content.path, layer_types=owners)
        return message, content, places
    assert content.binary is not None
    decode(content.binary, message, content.name, type_name, schema, owners, fork)
    check_strings(message, content.name)
    return message, content, {}


def _net_places(net: Any, places: Places) -> NetPlaces:
    found = NetPlaces.unknown(net)
    for name in ("layer", "layers", "input"):
        if len(places.get(name, ())) == len(getattr(net, name)):
            setattr(found, name, list(places.get(name, ())))
    return found


def _name(content: Content | None) -> str:
    return content.name if content is not None else "<message>"


def _within(error: ProtoError, content: Content | None) -> ProtoError:
    """Return an upgrade's error with the name of the file."""
    if isinstance(error, ParseError):
        path = content.path if content is not None else None
        return ParseError(error.reason, path=path, line=error.line, column=error.column)
    return ProtoError(f"{_name(content)}: {error}")


def _report(content: Content | None, upgrades: list[str]) -> None:
    if upgrades:
        _log.info("%s: upgraded %s", _name(content), "; ".join(upgrades))


def _set_snapshot_prefix(solver: Any, path: Path) -> None:
    if not solver.snapshot_prefix:
        solver.snapshot_prefix = str(path.with_suffix(""))
    elif os.path.isdir(solver.snapshot_prefix):  # Path.is_dir raises for a path that is too long
        solver.snapshot_prefix = str(Path(solver.snapshot_prefix) / path.stem)


def _document(message: Any, content: Content | None, upgrades: list[str], places: tuple[Place | None, ...]) -> Document:
    if content is None:
        return Document(message, upgrades=tuple(upgrades), places=places)
    return Document(message, content.path, content.text, tuple(upgrades), content.name, places)
