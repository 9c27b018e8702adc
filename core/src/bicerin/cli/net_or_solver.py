"""Read a prototxt that may be a net's or a solver's."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bicerin_proto
from bicerin.errors import ParseError
from bicerin.schema.installed_schema import read_net, read_solver, schema

_log = logging.getLogger("bicerin.cli")

if TYPE_CHECKING:
    from bicerin.solver.nets import NetSources


def read_net_or_solver(
    path: str, layer_providers: Mapping[str, str] | None = None
) -> tuple[bicerin_proto.Document, bool]:
    """A net's or a solver's document, and whether it is a solver's.

    Raises:
        ProtoError: it is neither; the error is of the reading that came further.
    """
    try:
        return _reader(layer_providers)(Path(path)), False
    except ParseError as not_a_net:
        try:
            return read_solver(Path(path), layer_providers), True
        except ParseError as not_a_solver:
            raise max(not_a_net, not_a_solver, key=_place) from None


def other_document(path: str, layer_providers: Mapping[str, str] | None = None) -> str | None:
    """What a text file is that is neither: the name of a plugin's own message, such as LabelMap, or None."""
    text = bicerin_proto.read_file(path).decode(errors="replace")
    for message in schema(layer_providers).plugin_documents():
        with contextlib.suppress(ParseError):
            bicerin_proto.parse_text(text, message(), schema(layer_providers))
            return message.DESCRIPTOR.name
    return None


def net_sources(
    solver: bicerin_proto.Document,
    layer_providers: Mapping[str, str] | None = None,
    search: Callable[[str, Path | None], Path | None] = lambda path, solver: None,
) -> NetSources:
    """The nets that a solver names.

    Args:
        search: where else to look for a file that is not where `Context.resolve` looks, given the solver's path.
    """
    from bicerin.layer.context import Context
    from bicerin.solver.nets import NetSources

    directory = solver.path.parent if solver.path is not None else None
    context = Context(directory=directory)

    def resolve(path: str) -> Path:
        found = context.resolve(path)
        return found if os.path.exists(found) else search(path, solver.path) or found

    return NetSources(solver, resolve, _reader(layer_providers))


def in_folders_above(path: str, solver: Path | None) -> Path | None:
    """A file that a solver names from the folder that it is meant to be run in: some folder above it."""
    paths = (folder / path for folder in (solver.absolute().parents if solver is not None else ()))
    return next(filter(os.path.isfile, paths), None)


def from_folders_above(path: str, solver: Path | None) -> Path | None:
    """As `in_folders_above`, and the log says where."""
    found = in_folders_above(path, solver)
    if found is not None:
        _log.info("%s: found at %s", path, found)
    return found


def train_net(
    solver: bicerin_proto.Document, layer_providers: Mapping[str, str] | None = None
) -> bicerin_proto.Document:
    """The document of the net that a solver trains."""
    return net_sources(solver, layer_providers).train_net()


def _reader(layer_providers: Mapping[str, str] | None) -> Callable[[Any], bicerin_proto.Document]:
    return partial(read_net, layer_providers=layer_providers)


def _place(error: ParseError) -> tuple[int, int]:
    return (error.line or 0, error.column or 0)
