"""Count what works of the prototxt files in a folder, as docs/corpus.md does: `python tools/corpus.py FOLDER`.

Every file below the folder that is a net or a solver in text is read, and its shapes are inferred, with all packages
that are installed. The first part of its path is its repository. What is printed, in Markdown:

- for each repository, how many files parse, give all shapes, or lack something;
- layer types that no package brings, by file;
- options that parse and that no layer honours: those that are refused, since they change results, and those of which
  there is a warning;
- modules of Python layers, which belong to the programs around the nets; none is run;
- everything else that is wrong, by file.

A file counts once, in the rightmost column that it belongs to.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bicerin.cli.check import examine
from bicerin.cli.net_or_solver import net_sources, other_document, read_net_or_solver
from bicerin.discovery.configuration import ignoring_unknown_options
from bicerin.errors import BicerinError, MissingFileError, ParseError
from bicerin.schema.ignored_fields import ignored_fields
from bicerin.schema.installed_schema import layer_owners, schema

SUFFIXES = (".prototxt", ".pt", ".pbtxt", ".prototext")
COLUMNS = ("all shapes found", "the solver's net is missing", "Python module missing", "layer type missing")
COLUMNS += ("option refused", "other")


@dataclass
class Found:
    """What is known of a file; of a solver, of the nets that it names as well."""

    repository: str
    name: str
    parses: bool = True
    is_document: bool = False
    lacks_net: bool = False
    types: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    @property
    def column(self) -> str:
        """The one that it counts in; "" for a document that is neither net nor solver."""
        said = (True, self.lacks_net, self.modules, self.types, self.refused, self.errors)
        return "" if self.is_document else [name for name, one in zip(COLUMNS, said, strict=True) if one][-1]


def look_at(path: Path, folder: Path) -> Found:
    """Everything that is wrong with a file."""
    parts = path.relative_to(folder).parts
    found = Found(parts[0].replace("+", "/", 1), "/".join(parts[1:]))
    try:
        document, is_solver = read_net_or_solver(str(path))
    except BicerinError as error:
        found.is_document = isinstance(error, ParseError) and other_document(str(path)) is not None
        if not found.is_document:
            found.parses = False
            found.errors.append(str(error))
        return found
    documents = [document]
    if is_solver:
        try:
            sources = net_sources(document, search=_in_the_repository)
            documents += [sources.train_net(), *sources.test_nets()]
        except MissingFileError:
            found.lacks_net = True
        except BicerinError as error:
            found.errors.append(str(error))
    for one in documents:
        _look_into(one.message, found)
    if not (found.lacks_net or found.types):
        python = ("Python",) if found.modules else ()
        said = [_short(line, folder) for line in examine(str(path), without=python).errors]
        found.errors += [line for line in said if line not in found.errors]
    return found


def _short(error: str, folder: Path) -> str:
    """The first sentence of an error, and its file as the corpus has it."""
    line = error.replace(f"{folder}/", "").splitlines()[0]
    return line.partition(": ")[2] or line


def _in_the_repository(path: str, solver: Path | None) -> Path | None:
    """A file that a solver names from the folder that it is meant to be run in: some folder above it."""
    above = solver.absolute().parents if solver is not None else ()
    return next((folder / path for folder in above if (folder / path).is_file()), None)


def _look_into(message: Any, found: Found) -> None:
    owners = layer_owners()
    ignored = ignored_fields(message, schema(), owners)
    found.refused.update(_option(line) for line in ignored["OTHER"])
    found.ignored.update(_option(line) for line in ignored["SIMILAR"])
    for layer in getattr(message, "layer", ()):
        if layer.type not in owners:
            found.types.add(layer.type)
        elif layer.type == "Python":
            found.modules.add(layer.python_param.module)


def _option(line: str) -> str:
    """`batch_norm_param.relu (of bicerin-forks) in layer "a"` -> `batch_norm_param.relu`."""
    return line.partition(" (of ")[0]


def report(files: list[Found]) -> str:
    """The page's tables."""
    parts = [f"{len(files)} files of {len({one.repository for one in files})} repositories; "]
    parts[0] += f"{sum(one.is_document for one in files)} of them are neither nets nor solvers."
    rows = []
    for repository in [*sorted({one.repository for one in files}), ""]:
        own = [one for one in files if repository in ("", one.repository)]
        counts = [sum(one.column == column for one in own) for column in COLUMNS]
        rows.append([repository or "all", len(own), sum(one.parses for one in own), *counts])
    parts.append(_table(["repository", "files", "parse", *COLUMNS], rows))
    for title, name in (
        ("Layer types that no package brings", "types"),
        ("Options that are refused", "refused"),
        ("Options that are ignored with a warning", "ignored"),
        ("Python layers whose module is elsewhere", "modules"),
        ("Other", "errors"),
    ):
        parts += [f"## {title}", _by_file(files, name)]
    return "\n\n".join(parts)


def _by_file(files: Iterable[Found], name: str) -> str:
    where: Mapping[str, list[Found]] = defaultdict(list)
    for one in files:
        for what in getattr(one, name):
            where[what].append(one)
    rows = []
    for what, those in sorted(where.items(), key=lambda item: (-len(item[1]), item[0])):
        repositories = sorted({one.repository for one in those})
        listed = those[0].name if len(those) == 1 else f"{those[0].name} and {len(those) - 1} more"
        rows.append([what.replace("\n", " ").replace("|", "\\|"), len(those), ", ".join(repositories), listed])
    return _table(["", "files", "repositories", "such as"], rows) if rows else "None."


def _table(head: list[str], rows: Iterable[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join("" if cell == 0 else str(cell) for cell in line) + " |" for line in lines)


def main(arguments: list[str]) -> int:
    """Count the files of a folder."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0]).absolute()
    logging.getLogger("bicerin").setLevel(logging.ERROR)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    # In an empty folder, so that a solver's net is not another one of that name, such as examples/mnist has.
    with TemporaryDirectory() as nowhere, chdir(nowhere), ignoring_unknown_options():
        files = [look_at(path, folder) for path in paths]
    print(report(files))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
