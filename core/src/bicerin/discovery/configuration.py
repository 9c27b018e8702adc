"""The user's configuration: `config.toml` in the platform's folder for it, or the file that `BICERIN_CONFIG` names.

ignore_unknown_options = true

[layer_providers]
ROIPooling = "bicerin-rcnn"
"""

from __future__ import annotations

import contextlib
import logging
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bicerin.errors import BicerinError
from bicerin_proto.file import read_text

_log = logging.getLogger("bicerin.discovery")
_TABLE = "layer_providers"
_IGNORE = "ignore_unknown_options"
_over: ContextVar[Mapping[str, str]] = ContextVar("layer_providers", default=MappingProxyType({}))
_fork: ContextVar[str | None] = ContextVar("schema", default=None)
_ignores: ContextVar[bool] = ContextVar("ignore_unknown_options", default=False)


@contextlib.contextmanager
def choosing(layer_providers: Mapping[str, str]) -> Iterator[None]:
    """While the block runs, these choices precede the file's.

    Args:
        layer_providers: layer type -> distribution.
    """
    token = _over.set({**_over.get(), **layer_providers})
    try:
        yield
    finally:
        _over.reset(token)


@contextlib.contextmanager
def ignoring_unknown_options(ignore: bool = True) -> Iterator[None]:
    """While the block runs, options that no layer knows are ignored with a warning, if `ignore`."""
    token = _ignores.set(ignore or _ignores.get())
    try:
        yield
    finally:
        _ignores.reset(token)


@contextlib.contextmanager
def reading_as(fork: str | None) -> Iterator[None]:
    """While the block runs, binary files are this fork's, unless it is None."""
    token = _fork.set(fork or _fork.get())
    try:
        yield
    finally:
        _fork.reset(token)


def fork() -> str | None:
    """Whose binary files are read, as somebody said; None: it follows from what is in them."""
    return _fork.get()


def ignores_unknown_options() -> bool:
    """Whether options that no layer knows are ignored with a warning; otherwise they are errors.

    Raises:
        BicerinError: the file cannot be read or is not TOML, or a setting has another value than true or false.
    """
    asked = os.environ.get("BICERIN_IGNORE_UNKNOWN_OPTIONS", "")
    if asked not in ("", "0", "1"):
        raise BicerinError(f'BICERIN_IGNORE_UNKNOWN_OPTIONS is "{asked}"; it must be 1 or 0.')
    if _ignores.get() or asked == "1":
        return True
    ignored = _settings().get(_IGNORE, False)
    if not isinstance(ignored, bool):
        raise BicerinError(f"{path()}: {_IGNORE} must be true or false, not {ignored!r}.")
    return ignored


def path() -> Path:
    """Where the configuration file is, whether or not it exists."""
    named = os.environ.get("BICERIN_CONFIG")
    if named:
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("bicerin") / "config.toml"


def _settings() -> Mapping[str, Any]:
    """What the file holds now; nothing where there is none.

    Raises:
        BicerinError: it cannot be read, or is not TOML.
    """
    file = path()
    return _contents(file, file.stat().st_mtime if os.path.isfile(file) else None)


@lru_cache(maxsize=1)
def _contents(file: Path, modified: float | None) -> Mapping[str, Any]:
    if modified is None:
        if os.environ.get("BICERIN_CONFIG"):
            _log.warning("BICERIN_CONFIG names %s, which is not a file", file)
        return {}
    try:
        found = tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise BicerinError(f"{file}: not a TOML file: {error}") from error
    for name in sorted({*found} - {_TABLE, _IGNORE}):
        _log.warning("%s: there is no setting %r; there are %s and the table [%s]", file, name, _IGNORE, _TABLE)
    return found


def layer_providers() -> Mapping[str, str]:
    """Layer type -> the distribution to take it from, as the user chose.

    Raises:
        BicerinError: the file cannot be read or is not TOML, or the table does not map names to names.
    """
    chosen = _settings().get(_TABLE, {})
    if not isinstance(chosen, dict) or not all(isinstance(name, str) for name in chosen.values()):
        raise BicerinError(
            f'{path()}: [layer_providers] must map layer types to distributions, as in ROIPooling = "bicerin-rcnn".'
        )
    return {**chosen, **_over.get()}
