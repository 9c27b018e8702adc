"""How messages quote what was read: without control characters, and not at any length."""

from __future__ import annotations

LIMIT = 300
"""How many characters are quoted at most; names and paths of real files are shorter."""


def printable(text: object, limit: int = LIMIT) -> str:
    r"""Return a text as a message may quote it.

    What stands in a file is its author's choice: escape sequences that a terminal obeys, newlines that look like log
    lines, a name of a megabyte. Characters that do not print are written as escapes (`\n`, `\x1b`, `\u202e`), and of a
    long text the middle is omitted.

    Args:
        text: the text, or anything that `str` makes one of, such as a path.
        limit: how many characters of it are quoted.
    """
    text = str(text)
    if len(text) > limit:
        head, tail = limit - limit // 3, limit // 3
        omitted = f"[... {len(text) - head - tail} characters ...]"
        return _escaped(text[:head]) + omitted + _escaped(text[len(text) - tail :])
    return _escaped(text)


def system_reason(error: Exception) -> str:
    """Return why the system refused a file, in its own words: without the number of the error and the path.

    Args:
        error: an OSError, or the ValueError of a path that no file can have.
    """
    return printable(getattr(error, "strerror", None) or error)


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that was not UTF-8, as `surrogateescape` keeps it
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


MESSAGE_LIMIT = 10_000
"""How long a message is at most; a list of all blobs of a large net is shorter."""

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """Return a text of several lines with its control characters, and what no encoding has, written as escapes."""
    return text if text.isprintable() else text.translate(_CONTROL).encode(errors="backslashreplace").decode()


def message_text(text: str) -> str:
    """Return a whole message, which may quote something as it stood in a file, as it may be shown.

    Control characters are written as escapes. Newlines remain, and what follows them is indented: no name can begin a
    line, as a message or a line of a log does. The middle of a very long message is omitted.
    """
    if len(text) > MESSAGE_LIMIT:
        head, tail = MESSAGE_LIMIT // 2, MESSAGE_LIMIT // 4
        text = f"{text[:head]}[... {len(text) - head - tail} characters ...]{text[-tail:]}"
    if text.isprintable():
        return text
    first, *more = visible(text).split("\n")
    return "\n".join([first, *(line if not line or line[0].isspace() else f"  {line}" for line in more)])
