"""What the comments in a .proto say of its fields. A compiled .proto has none: they are read from its source."""

from __future__ import annotations

import re

_OPENS = re.compile(r"(message|enum|oneof|extend)\s+([\w.]+)\s*\{")
_FIELD = re.compile(r"(?:optional|repeated|required)\s+[\w.]+\s+(\w+)\s*=")


def field_comments(text: str) -> dict[tuple[str, str], str]:
    """Return (message, field) -> its comment: the lines above a field, or what stands behind it.

    Args:
        text: the source of a .proto. A message inside another one is called "Outer.Inner".
    """
    found: dict[tuple[str, str], str] = {}
    scopes: list[str] = []
    above: list[str] = []
    last: tuple[str, str] | None = None
    for raw in text.splitlines():
        code, slashes, comment = raw.partition("//")
        code, comment = code.strip(), comment.strip()
        if not code:
            above = [*above, comment] if slashes else []
            continue
        if field := _FIELD.match(code):
            last = (".".join(scopes), field[1])
            found[last] = " ".join(above)
        if comment and last is not None and ";" in code:
            found[last] = f"{found[last]} {comment}".strip()
        if ";" in code:
            last = None
        above = []
        for opened in _OPENS.finditer(code):
            scopes.append(opened[2])
        for _ in range(code.count("}") - (code.count("{") - len(_OPENS.findall(code)))):
            if scopes:
                scopes.pop()
    return {key: comment for key, comment in found.items() if comment}
