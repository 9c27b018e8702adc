"""What is not installed, and which command would bring it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from importlib_metadata import PackageNotFoundError, distribution, distributions, requires

from bicerin.cli.lazy_group import KNOWN_COMMANDS
from bicerin.discovery.registry import normalized
from bicerin_proto.distribution import layer_distribution, layer_types

#: Extras that only install others of ours, or are for those who write plugins.
_APART = {"standard", "testing", "compile"}


class Missing(NamedTuple):
    """Something that is not installed.

    Attributes:
        name: of the distribution.
        brings: what it would bring, in words.
        command: what would install it.
    """

    name: str
    brings: str
    command: str


def missing() -> list[Missing]:
    """Our own distributions that are not installed, and the optional libraries of those that are."""
    return [*_own(), *_libraries()]


def _own() -> Iterator[Missing]:
    brought: dict[str, list[str]] = {}
    for layer in layer_types():
        brought.setdefault(layer_distribution(layer) or "", []).append(layer)
    for command, name in KNOWN_COMMANDS.items():
        brought.setdefault(name, []).append(f"bicerin {command}")
    for name, what in sorted(brought.items()):
        if not _is_installed(name):
            yield Missing(name, ", ".join(what), f"pip install {name}")


def _libraries() -> Iterator[Missing]:
    ours = {normalized(one.name) for one in distributions() if normalized(one.name or "").startswith("bicerin")}
    for name in sorted(ours):
        lacking: dict[str, list[str]] = {}
        for requirement in requires(name) or ():
            library, extra = _optional(requirement)
            own = library.startswith("bicerin")  # which `_own` has
            if extra and not own and extra not in _APART and not _is_installed(library):
                lacking.setdefault(extra, []).append(library)
        for extra, libraries in lacking.items():
            yield Missing(", ".join(libraries), f"optional for {name}", f'pip install "{name}[{extra}]"')


def _optional(requirement: str) -> tuple[str, str]:
    """The name in a requirement such as `h5py>=3; extra == "hdf5"`, and its extra; "" where it is in none."""
    name = re.match(r"[\w.-]+", requirement)
    extra = re.search(r"""extra == ["']([\w-]+)["']""", requirement)
    return name[0] if name else "", extra[1] if extra else ""


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
