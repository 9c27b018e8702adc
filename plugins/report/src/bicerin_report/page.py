"""The page: one file of HTML with its styles, scripts, data and pictures, which asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from os import PathLike
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import bicerin_proto
from bicerin.cli.json_text import json_text

_LIBRARIES = ("dagre", "uplot")
_SCRIPTS = ("dom", "chart", "graph", "layers", "net", "runs", "weights", "images", "page")
#: What would end the element that the data stands in, or a line of a script.
_ESCAPED = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def page(data: dict[str, Any], live: bool = False) -> str:
    """The page as text.

    Args:
        data: what `Contents.data` returns.
        live: whether it is served, and asks for new runs where it came from.
    """
    styles, scripts = _styles(), _scripts()
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash(styles)}",
            f"script-src {_hash(scripts)}",
            f"connect-src {chr(39)}{'self' if live else 'none'}{chr(39)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=data["title"],
            policy=policy,
            styles=Markup(styles),
            scripts=Markup(scripts),
            data=Markup(data_text({**data, "live": live})),
        )
    )


def write_page(data: dict[str, Any], path: str | PathLike[str]) -> None:
    """Write the page atomically.

    Raises:
        ProtoError: it cannot be written.
    """
    with bicerin_proto.atomic_write(path) as file:
        file.write(page(data).encode("utf-8", "backslashreplace"))


def data_text(data: Any) -> str:
    """JSON in which no element of HTML can end."""
    return json_text(data).translate(_ESCAPED)


@cache
def _environment() -> Environment:
    loader = PackageLoader("bicerin_report", "assets")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)


@cache
def _styles() -> str:
    return _asset("vendor", "uplot.min.css") + "\n" + _asset("assets", "page.css")


@cache
def _scripts() -> str:
    libraries = []
    for name in _LIBRARIES:
        licence = _asset("vendor", f"{name}.LICENSE").replace("*/", "* /")
        libraries.append(f"/*! {name}\n{licence}*/\n{_asset('vendor', f'{name}.min.js')}\n")
    own = "\n".join(_asset("assets", f"{name}.js") for name in _SCRIPTS)
    return "".join(libraries) + f'(() => {{\n"use strict";\n{own}\n}})();\n'


def _asset(folder: str, name: str) -> str:
    return files("bicerin_report").joinpath(folder, name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
