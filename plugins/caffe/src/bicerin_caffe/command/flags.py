"""Flags as gflags reads them: `-name value`, `-name=value`, `--name ...`, `-bool`, `-nobool`, anywhere on the line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from bicerin.errors import BicerinError

#: glog's flags, which shell files set for any of Caffe's programs.
GLOG: dict[str, Any] = {
    "alsologtostderr": True,
    "colorlogtostderr": False,
    "log_dir": "",
    "log_prefix": True,
    "logbufsecs": 30,
    "logtostderr": False,
    "max_log_size": 1800,
    "minloglevel": 0,
    "stderrthreshold": 2,
    "stop_logging_if_full_disk": False,
    "v": 0,
    "vmodule": "",
}

_TRUE = ("1", "t", "true", "y", "yes")
_FALSE = ("0", "f", "false", "n", "no")


class FlagError(BicerinError):
    """A flag that a program does not have, or a value that the flag cannot have."""


def parse(arguments: Sequence[str], defaults: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The value of every flag, and the arguments that are not flags.

    Args:
        defaults: the program's flags with their default values, whose types are the flags'.

    Raises:
        FlagError: there is no such flag, or its value is missing or of another type.
    """
    values = dict(defaults)
    rest: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            return values, rest + left
        if not argument.startswith("-") or argument == "-":
            rest.append(argument)
            continue
        name, equals, text = argument.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if name not in values and name.startswith("no") and isinstance(values.get(name[2:]), bool) and not equals:
            values[name[2:]] = False
            continue
        if name not in values:
            raise FlagError(_unknown(name, values))
        if not equals:
            if isinstance(values[name], bool):
                values[name] = True
                continue
            if not left:
                raise FlagError(f"flag '--{name}' is missing its argument.")
            text = left.pop(0)
        values[name] = _converted(name, text, type(values[name]))
    return values, rest


def _converted(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in (*_TRUE, *_FALSE):
            raise FlagError(f"illegal value '{text}' specified for bool flag '{name}'.")
        return text.lower() in _TRUE
    try:
        value = kind(text)
        if kind is int and not -(2**31) <= value < 2**31:  # as gflags, whose whole numbers are int32
            raise ValueError
        return value
    except ValueError:
        raise FlagError(f"illegal value '{text}' specified for {kind.__name__} flag '{name}'.") from None


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '-{close[0]}'?" if close else ""
    return f"unknown command line flag '{name}'.{hint}"
