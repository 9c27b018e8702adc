"""The tokens of protobuf's text format, each with its place."""

from __future__ import annotations

import bisect
import re
from os import PathLike
from typing import NamedTuple

from bicerin_proto.errors import ParseError
from bicerin_proto.quotation import printable

# The repetitions are possessive (`*+`): what they took is never given back, so that no text makes the search long.
_TOKEN = re.compile(
    r"""(?:[ \t\r\n\f\v]++|\#[^\n]*+)*+
    (?:(?P<name>[A-Za-z_][A-Za-z0-9_]*+)
     |(?P<number>(?:0[xX][0-9a-fA-F]++|(?:\d++\.?+\d*+|\.\d++)(?:[eE][+-]?\d++)?+[fF]?+)(?![A-Za-z0-9_.]))
     |(?P<string>"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"|'[^'\\\n]*+(?:\\[^\n][^'\\\n]*+)*+')
     |(?P<mark>[{}<>\[\]:,;\-])
     |(?P<end>\Z)
     |(?P<bad>.))""",
    re.VERBOSE | re.ASCII,
)
_INSTEAD = {
    "/": "A comment begins with #.",
    **dict.fromkeys("“”„‘’´`", 'Quotes are straight: "name".'),
    **dict.fromkeys("\u00a0\u3000\u200b\ufeff", "It looks like a space but is not one; use an ordinary space."),
}
"""For characters that editors and web pages put in the place of others, what would be right."""

_NUMERIC = re.compile(r"[0-9.][A-Za-z0-9_.]*")


class Token(NamedTuple):
    """A piece of text: `kind` is name, number, string, mark or end; `offset` is where in the text it begins."""

    kind: str
    text: str
    offset: int

    def __str__(self) -> str:
        return "the end of the text" if self.kind == "end" else printable(self.text)

    @property
    def content(self) -> str:
        """Its text as a message quotes it, without the quotes that a string has of its own."""
        return printable(self.text[1:-1] if self.kind == "string" else self.text)


class Place(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


class Tokens:
    """The tokens of a text, read one after the other.

    Args:
        text: the text.
        path: the file it comes from, for errors.
        offset: where in the text to begin.

    Raises:
        ParseError: a character or string that no token begins with, when it is reached.
    """

    def __init__(self, text: str, path: str | PathLike[str] | None = None, offset: int = 0) -> None:
        self.path = path
        self.text = text
        self._position = offset
        self._line_starts = [0] + [match.end() for match in re.finditer("\n", text)]
        self.current = self._scan()

    def _scan(self) -> Token:
        match = _TOKEN.match(self.text, self._position)
        assert match is not None and match.lastgroup is not None  # the last two alternatives match anything
        self._position = match.end()
        token = Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
        if token.kind != "bad":
            return token
        if token.text in "\"'":
            raise self.error("String is not closed on its line.", token)
        if word := _NUMERIC.match(self.text, token.offset):
            raise self.error(f'Not a number: "{printable(word[0])}".', token)
        if 0xDC80 <= ord(token.text) <= 0xDCFF:  # see content.py
            raise self.error(f"The byte {ord(token.text) - 0xDC00:#04x} is not UTF-8.", token)
        raise self.error(f"Unexpected character {token.text!r}.", token, _INSTEAD.get(token.text, ""))

    def next(self) -> Token:
        """Return the current token and step to the one after it."""
        token = self.current
        if token.kind != "end":
            self.current = self._scan()
        return token

    def accept(self, *marks: str) -> Token | None:
        """Step over the current token if it is one of `marks`, and return it."""
        if self.current.kind == "mark" and self.current.text in marks:
            return self.next()
        return None

    def expect(self, mark: str, hint: str = "") -> Token:
        """Step over `mark`, or raise."""
        token = self.accept(mark)
        if token is None:
            raise self.error(f'Expected "{mark}", got: {self.current}.', self.current, hint)
        return token

    def place(self, token: Token) -> Place:
        """Return the line and column of a token."""
        line = bisect.bisect_right(self._line_starts, token.offset)
        return Place(line, token.offset - self._line_starts[line - 1] + 1)

    def error(self, reason: str, token: Token, hint: str = "") -> ParseError:
        """Return an error about `token`, to be raised."""
        line, column = self.place(token)
        return ParseError(reason, path=self.path, line=line, column=column, hint=hint)
