"""Which source files go into a kernel, so that what is kept on disk is never used after one of them changed.

Numba looks at the file of the function alone. A kernel is also made of the parts that it calls, of constants, of the
text that a formula was printed as, and of the machinery of this folder. So the stamp of a function covers

- its own file, all of this folder, and the versions of Numba and llvmlite (`compiled` adds those);
- the files that it imports, and those that they import, and so on: all of its own package, and of others those that
  know kernels. Of a module that knows none, such as one of constants, the file counts, and not what it imports itself.

The standard library and NumPy are left out: Numba translates what it knows of them itself. The processor is part of the
key under which Numba looks a kernel up.

Imports are read from the text, wherever in the file they stand: that takes a tenth of the time of parsing it, and finds
too much rather than too little.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

#: Packages whose sources do not go into kernels.
_OUTSIDE = frozenset({*sys.stdlib_module_names, "numpy", "numba", "llvmlite", "cupy", "cupyx"})
_IMPORT = re.compile(
    r"(?:^|[;:])[ \t]*(?:from[ \t]+(?P<origin>[.\w]+)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n;]*)"
    r"|import[ \t]+(?P<modules>[^\n;]*))",
    re.MULTILINE,
)
_ROOM = __name__.rpartition(".")[0]
_ROOT = _ROOM.partition(".")[0]


class _Source(NamedTuple):
    digest: bytes
    imports: frozenset[str]

    @property
    def knows_kernels(self) -> bool:
        return any(name == _ROOT or name.startswith((_ROOM, "numba")) for name in self.imports)


def stamp(function: Any, *others: str) -> str | None:
    """What changes when a source of the function does, or one of the other texts; None where a source cannot be read.

    Args:
        function: a Python function; its module may still be on its way of being imported.
        others: what else the kernel depends on.
    """
    names = function.__globals__
    module = names.get("__name__", "")
    package = names.get("__package__") or module.rpartition(".")[0]
    try:
        digest = hashlib.sha256(_digest_of_all(function.__code__.co_filename, package, module.partition(".")[0]))
    except (OSError, UnicodeError):
        return None
    for other in (module, *others):  # what is kept on disk asks for the module by its name
        digest.update(b"\0" + other.encode())
    return digest.hexdigest()


#: Of files: what all that goes into their kernels was like, and the digest.
_digests: dict[str, tuple[dict[str, tuple[int, int]], bytes]] = {}


def _digest_of_all(path: str, package: str, top: str) -> bytes:
    """The digest of a module and of all that goes into its kernels.

    Args:
        path: its file.
        package: what its relative imports start from.
        top: the first part of the package's name: everything below it counts.
    """
    if path in _digests:
        before, digest = _digests[path]
        if all(_state(file) == state for file, state in before.items()):
            return digest  # else modules are loaded anew in this process, as in a notebook
    digests = {_room_digest()}
    states: dict[str, tuple[int, int]] = {}
    left = {(path, package)}
    seen = set(left)
    while left:
        file, within = left.pop()
        states[file] = _state(file)
        source = _read(file, within, states[file])
        digests.add(source.digest)
        if file == path or within.partition(".")[0] == top or source.knows_kernels:
            found = {place for name in source.imports for place in _files(name)}
            left |= found - seen
            seen |= found
    # Not by their paths: an environment may be moved with what is kept in it.
    digest = hashlib.sha256(b"".join(sorted(digests))).digest()
    _digests[path] = states, digest
    return digest


def _state(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size


@cache
def _room_digest() -> bytes:
    """Of all of this folder: what its `__init__` hands out is looked up when it is asked for."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in sorted(folder.glob("*.py")))).digest()


@cache
def _read(path: str, package: str, state: tuple[int, int]) -> _Source:
    text = Path(path).read_bytes()
    return _Source(hashlib.sha256(text).digest(), frozenset(_imports(text.decode().replace("\\\n", " "), package)))


def _imports(text: str, package: str) -> Iterator[str]:
    """Names that may be modules which the text of a module in the package imports."""
    for match in _IMPORT.finditer(text):
        if match["modules"] is not None:
            yield from _names(match["modules"])
            continue
        origin = match["origin"]
        dots = len(origin) - len(origin.lstrip("."))
        if dots:
            parents = package.split(".")[: len(package.split(".")) - dots + 1]
            origin = ".".join([*parents, origin[dots:]]).rstrip(".")
        yield origin
        if origin.partition(".")[0] not in _OUTSIDE:
            for name in _names(match["names"]):
                yield f"{origin}.{name}"


def _names(listed: str) -> Iterator[str]:
    """The names of `a.b as c, d`, in parentheses or not, with comments or not."""
    for one in re.sub(r"#[^\n]*|[()]", " ", listed).split(","):
        if words := one.split():
            yield words[0]


@cache
def _files(name: str) -> tuple[tuple[str, str], ...]:
    """The file of a module, with the package that its relative imports start from; none where there is no source."""
    top, *below = name.split(".")
    if top in _OUTSIDE or name in (_ROOT, _ROOM) or name.startswith(_ROOM + "."):
        return ()
    try:
        # By the package's place, whether or not the module was imported yet: two processes must find the same.
        spec = getattr(sys.modules.get(top), "__spec__", None) or find_spec(top)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    if spec.submodule_search_locations is None:
        return ((spec.origin, ""),) if not below and spec.origin and spec.origin.endswith(".py") else ()
    for folder in spec.submodule_search_locations:
        place = os.path.join(folder, *below)
        if os.path.isfile(os.path.join(place, "__init__.py")):
            return ((os.path.join(place, "__init__.py"), name),)
        if below and os.path.isfile(place + ".py"):
            return ((place + ".py", name.rpartition(".")[0]),)
    return ()
