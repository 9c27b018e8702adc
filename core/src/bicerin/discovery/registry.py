"""Registries: from a name in a prototxt to the class or function that an installed distribution brings for it.

All of them read one index, made once a process from the metadata of the installed distributions. Making it imports no
plugin; a plugin is imported when one of its names is first used. A name that two distributions bring, a plugin that
cannot be imported and one that was written for another layer API are errors when that name is used, not before.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bicerin.errors import BrokenPluginError, ConflictError, IncompatiblePluginError, UnknownNameError

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

#: The version of the contract in `bicerin.layer`. A plugin states the one it was written for with an entry point
#: named after the number in the group `bicerin.layer_api`.
LAYER_API = 1

_GROUP_PREFIX = "bicerin."
_log = logging.getLogger("bicerin.discovery")


@dataclass(frozen=True)
class Provider:
    """One entry point: a name that one distribution brings."""

    group: str
    name: str
    value: str
    distribution: str
    version: str
    layer_api: int = LAYER_API

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.value})"

    def load(self) -> Any:
        """Import what the entry point names.

        Raises:
            IncompatiblePluginError: the distribution states another layer API; nothing is imported.
            BrokenPluginError: the import failed; the original exception is chained.
        """
        if self.layer_api != LAYER_API:
            newer = self.layer_api > LAYER_API
            raise IncompatiblePluginError(
                f'{self.distribution} {self.version}, which brings "{self.name}", was written for layer API '
                f"{self.layer_api}; this core has {LAYER_API}. "
                + ("Upgrade bicerin." if newer else f"Upgrade {self.distribution}.")
            )
        module, _, attribute = self.value.partition(":")
        try:
            target = __import__(module, fromlist=["_"])
            for part in filter(None, attribute.split(".")):
                target = getattr(target, part)
        except (Exception, SystemExit) as error:
            raise BrokenPluginError(
                f'{self.distribution} {self.version} cannot be imported, so its "{self.name}" '
                f"(entry point {self.value}) is not usable: {type(error).__name__}: {error}{_missing(error, module)}"
            ) from error
        return target


def _missing(error: BaseException, module: str) -> str:
    """What to do about a module that a plugin needs and that is not there."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if not name or name.partition(".")[0] == module.partition(".")[0]:
        return ""
    return f'. It needs the module "{name}", which is not installed.'


def disabled_distributions() -> frozenset[str]:
    """The distributions that `BICERIN_DISABLE_PLUGINS` (comma-separated names) hides, normalised."""
    return frozenset(
        normalized(name) for name in os.environ.get("BICERIN_DISABLE_PLUGINS", "").split(",") if name.strip()
    )


def normalized(name: str) -> str:
    """A distribution's name as it is compared: PEP 503's."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


Index = Mapping[str, Mapping[str, tuple[Provider, ...]]]


_Found = TypeVar("_Found")
_caches: list[_lru_cache_wrapper[Any]] = []


def found_once(function: Callable[..., _Found]) -> _lru_cache_wrapper[_Found]:
    """Decorator: cache what a function finds out about the installed distributions, until `forget_plugins`."""
    cached = cache(function)
    _caches.append(cached)
    return cached


@found_once
def plugin_index() -> Index:
    """Group -> name -> providers, of every group that starts with `bicerin.`; read from metadata alone."""
    from importlib_metadata import distributions

    hidden = disabled_distributions()
    index: dict[str, dict[str, list[Provider]]] = {}
    seen: set[str] = set()
    installed: set[str] = set()
    for distribution in distributions():
        text = distribution.read_text("entry_points.txt")
        if not text or _GROUP_PREFIX not in text:
            continue
        name, version = _name_and_version(distribution)
        installed.add(normalized(name))
        if not name or normalized(name) in seen or normalized(name) in hidden:
            continue
        seen.add(normalized(name))
        groups = dict(_entry_points(text))
        if not groups:
            continue
        layer_api = _layer_api(groups.pop("bicerin.layer_api", {}))
        for group, entries in groups.items():
            for entry, value in entries.items():
                provider = Provider(group, entry, value, name, version, layer_api)
                index.setdefault(group, {}).setdefault(entry, []).append(provider)
    for name in sorted(hidden - installed):
        _log.warning('BICERIN_DISABLE_PLUGINS: no distribution "%s" with plugins is installed', name)
    return {group: {name: tuple(found) for name, found in names.items()} for group, names in index.items()}


def _name_and_version(distribution: Any) -> tuple[str, str]:
    """From the first lines of the metadata. (Its own `name` and `version` parse all of it, README included, twice.)"""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    header = text.partition("\n\n")[0]
    name, version = (re.search(rf"^{field}:[ \t]*(.*?)\s*$", header, re.M | re.I) for field in ("Name", "Version"))
    return (name[1] if name else "", version[1] if version else "unknown")


def _layer_api(stated: Mapping[str, str]) -> int:
    """The layer API of a distribution that states these: the core's own where it is among them, else the newest."""
    numbers = {int(number) for number in stated if number.isdecimal()} or {LAYER_API}
    return LAYER_API if LAYER_API in numbers else max(numbers)


def _entry_points(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The groups of an entry_points.txt that concern Bicerin. (configparser is ten times slower.)"""
    group: str | None = None
    entries: dict[str, str] = {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            if group and group.startswith(_GROUP_PREFIX):
                yield group, entries
            group, entries = line[1:-1].strip(), {}
        elif "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            entries[name.strip()] = value.strip()
    if group and group.startswith(_GROUP_PREFIX):
        yield group, entries


def forget_plugins() -> None:
    """Read the installed distributions anew at the next use: for tests, and after an install in a live process."""
    for cached in _caches:
        cached.cache_clear()
    for registry in Registry.all:
        registry._loaded.clear()


def require_class(provider: Provider, target: Any, base: type, public: str, attribute: str | None = None) -> None:
    """What a registry's `check` asks first: that an entry point names a subclass, which has the entry point's name.

    Args:
        base: of the classes.
        public: its name, as its users know it.
        attribute: of the class, which must be the entry point's name; None for none.

    Raises:
        BrokenPluginError: says what it is instead.
    """
    if not (isinstance(target, type) and issubclass(target, base)):
        raise BrokenPluginError(f"{provider} is not a {public}.")
    if attribute is not None and getattr(target, attribute, None) != provider.name:
        raise BrokenPluginError(
            f'{provider} has the {attribute} "{getattr(target, attribute, "")}", but its entry point is named '
            f'"{provider.name}"; the two must be the same.'
        )


class Registry:
    """The names of one entry-point group.

    Args:
        group: such as `bicerin.layers`.
        kind: what errors call an entry, such as "layer type".
        known: which distribution, installed or not, is known to bring a name; None where nobody knows.
        check: raises a `BrokenPluginError` where what a provider's entry point names is not what the group is for.
    """

    all: ClassVar[list[Registry]] = []

    def __init__(
        self,
        group: str,
        kind: str,
        known: Callable[[str], str | None] = lambda name: None,
        check: Callable[[Provider, Any], None] = lambda provider, target: None,
    ) -> None:
        self.group = group
        self.kind = kind
        self.known = known
        self.check = check
        self._loaded: dict[Provider, Any] = {}
        Registry.all.append(self)

    def providers(self) -> Mapping[str, tuple[Provider, ...]]:
        """Every name with the distributions that bring it, sorted by name."""
        return dict(sorted(plugin_index().get(self.group, {}).items()))

    def __contains__(self, name: str) -> bool:
        return name in plugin_index().get(self.group, {})

    def provider(self, name: str, choices: Mapping[str, str] | None = None) -> Provider:
        """Who brings `name`. `choices` maps names to distributions and decides where there are several.

        Raises:
            UnknownNameError: nobody does.
            ConflictError: several do, and `choices` and the user's configuration name none of them.
        """
        found = plugin_index().get(self.group, {}).get(name, ())
        if not found:
            raise UnknownNameError(self._unknown(name))
        choice = (choices or {}).get(name)
        if choice is None and len(found) > 1 and self.kind == "layer type":
            from bicerin.discovery.configuration import layer_providers

            choice = layer_providers().get(name)
        if choice is not None:
            for provider in found:
                if normalized(provider.distribution) == normalized(choice):
                    return provider
            raise UnknownNameError(
                f'{self.kind} "{name}" was asked of {choice}, which does not bring it; installed: '
                + ", ".join(map(str, found))
            )
        if len(found) > 1:
            raise ConflictError(
                f'{self.kind} "{name}" is provided by {len(found)} installed distributions: '
                + " and ".join(map(str, found))
                + f". {self._how_to_choose(name, found[0].distribution)}"
            )
        return found[0]

    def load(self, name: str, choices: Mapping[str, str] | None = None) -> Any:
        """Import and return what `name` stands for; see `provider` and `Provider.load` for the errors."""
        return self.loaded(self.provider(name, choices))

    def loaded(self, provider: Provider) -> Any:
        """Import and return what a provider's entry point names; see `Provider.load` for the errors."""
        if provider not in self._loaded:
            target = provider.load()
            self.check(provider, target)
            self._loaded[provider] = target
        return self._loaded[provider]

    def _how_to_choose(self, name: str, distribution: str) -> str:
        if self.kind != "layer type":
            return "Uninstall the other."
        from bicerin.discovery.configuration import path

        return (
            f"Choose one: --provider {name}={distribution} on the command line, "
            f'layer_providers={{"{name}": "{distribution}"}} in Python, or for good in {path()}, under '
            f'[layer_providers]: {name} = "{distribution}". Or uninstall the other.'
        )

    def _unknown(self, name: str) -> str:
        from bicerin_proto.hints import comes_with, did_you_mean

        known = self.known(name)
        hints = did_you_mean(name, plugin_index().get(self.group, {}), most=3), comes_with(known) if known else ""
        message = " ".join([f'unknown {self.kind} "{name}".', *filter(None, hints)])
        looked_at = sorted({p.distribution for found in plugin_index().get(self.group, {}).values() for p in found})
        return f"{message}\n  Installed plugins that were looked at: {', '.join(looked_at) or 'none'}."
