"""The exceptions of the whole project start here, in its lowest package.

BicerinError            everything that Bicerin and its plugins raise on purpose
└── ProtoError          a message, file or schema that cannot be used
    ├── MissingFileError   there is no such file
    ├── ParseError      text: where it goes wrong, and what would be right
    ├── DecodeError     binary: truncated, or not what it was taken for
    └── SchemaError     a .proto or a plugin's fields that do not fit
"""

from __future__ import annotations

from os import PathLike

from bicerin_proto.quotation import message_text, printable


class BicerinError(RuntimeError):
    """The root of every exception that Bicerin and its plugins raise on purpose.

    A RuntimeError, since that is what scripts written for pycaffe catch. Its text can be shown as it is: control
    characters that stand in names are written as escapes.
    """

    def __str__(self) -> str:
        return message_text(super().__str__())


class ProtoError(BicerinError):
    """A message, a file of messages or a schema cannot be used."""


class MissingFileError(ProtoError):
    """There is no file of that path."""


class ParseError(ProtoError):
    """Text that is not a message of the schema.

    The reason and the hint must be printable already; the path is made so here.

    Attributes:
        path: the file, or None for text that came from no file.
        line: the line, counted from 1; None where the text has none to blame.
        column: the column, counted from 1.
        reason: what is wrong, without the place.
        hint: what would be right, or "".
    """

    def __init__(
        self,
        reason: str,
        *,
        path: str | PathLike[str] | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str = "",
    ) -> None:
        self.reason = reason
        self.path = path
        self.line = line
        self.column = column
        self.hint = hint
        place = [printable(path) if path is not None else "<text>"]
        place += [str(number) for number in (line, column) if number is not None]
        super().__init__(f"{':'.join(place)}: {reason}" + (f" {hint}" if hint else ""))


class DecodeError(ProtoError):
    """Binary data that is truncated, or is not the message it was taken for."""


class SchemaError(ProtoError):
    """A .proto does not compile, or a plugin's fields do not fit into Caffe's schema."""
