"""Parse protobuf's text format (prototxt).

Protobuf's own parser knows neither where a layer stood in its file nor what a plugin would have understood. This one
keeps the place of every field of the outermost message, and its errors say what would be right.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from bicerin_proto import hints
from bicerin_proto.field import is_repeated, is_required
from bicerin_proto.schema import Schema
from bicerin_proto.tokens import Place, Token, Tokens

_log = logging.getLogger("bicerin.proto")

_CLOSING = {"{": "}", "<": ">"}
_DEEPEST = 100
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_FLOATS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
_BOOLS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPED = {
    b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v",
    b"\\": b"\\", b"'": b"'", b'"': b'"', b"?": b"?",
}  # fmt: skip

Places = dict[str, list[Place]]
"""For each field of the outermost message, where each of its values began."""


def parse_text(
    text: str, message: Message, schema: Schema, *, path: str | PathLike[str] | None = None, skip_unknown: bool = False
) -> Places:
    """Parse `text` into `message`, a message of `schema`, and tell where the fields stood.

    Args:
        path: the file the text comes from, for error messages.
        skip_unknown: leave out what the schema does not know, instead of raising.

    Raises:
        ParseError: the text is not in the text format, or names a field or value that the message does not have.
    """
    parser = _Parser(Tokens(text, path), schema, skip_unknown)
    parser.parse(message)
    return dict(parser.places)


@dataclass
class _Parser:
    tokens: Tokens
    schema: Schema
    skip_unknown: bool
    places: Places = field(default_factory=lambda: defaultdict(list))

    def parse(self, message: Message) -> None:
        """Parse the outermost message, to the end of the text."""
        start = self.tokens.current
        seen: set[str] = set()
        while self.tokens.current.kind != "end":
            name = self.tokens.current
            self._field(message, seen, 0)
            self.places[name.text].append(self.tokens.place(name))
        self._check_required(message, start)

    def _body(self, message: Message, opening: Token, depth: int) -> None:
        """Parse a nested message, whose opening brace was just read."""
        if depth > _DEEPEST:
            raise self.tokens.error(f"Messages are nested more than {_DEEPEST} deep.", opening)
        closing = _CLOSING[opening.text]
        seen: set[str] = set()
        while not self.tokens.accept(closing):
            if self.tokens.current.kind == "end":
                raise self.tokens.error(f'This "{opening.text}" is never closed.', opening)
            self._field(message, seen, depth)
        self._check_required(message, opening)

    def _check_required(self, message: Message, place: Token) -> None:
        missing = [one.name for one in message.DESCRIPTOR.fields if is_required(one) and not message.HasField(one.name)]
        if missing:
            names = ", ".join(f'"{name}"' for name in missing)
            raise self.tokens.error(f'Message type "{message.DESCRIPTOR.full_name}" needs {names}.', place)

    def _field(self, message: Message, seen: set[str], depth: int) -> None:
        name = self.tokens.current
        if name.kind != "name":
            raise self.tokens.error(f"Expected the name of a field, got: {name}.", name)
        self.tokens.next()
        descriptor = message.DESCRIPTOR
        found = descriptor.fields_by_name.get(name.text)
        if found is None:
            if not self.skip_unknown:
                raise self._unknown(descriptor, name)
            self._skip(depth)
        else:
            self._known(message, found, name, seen, depth)
        self.tokens.accept(",", ";")

    def _unknown(self, descriptor: Descriptor, name: Token) -> Exception:
        conflict = self.schema.conflict(descriptor.name, name.text)
        if conflict is not None:
            return self.tokens.error(conflict.reason, name, conflict.hint)
        reason = f'Message type "{descriptor.full_name}" has no field named "{name.text}".'
        return self.tokens.error(reason, name, hints.unknown_field(self.schema, descriptor, name.text))

    def _known(self, message: Message, found: FieldDescriptor, name: Token, seen: set[str], depth: int) -> None:
        repeated = is_repeated(found)
        several = repeated or (
            found.message_type is None and self.schema.is_repeated_elsewhere(message.DESCRIPTOR.name, name.text)
        )
        if name.text in seen and not several:
            raise self.tokens.error(f'Non-repeated field "{name.text}" is specified multiple times.', name)
        value: Callable[[], None]
        if found.message_type is not None:
            self.tokens.accept(":")

            def value() -> None:
                opening = self.tokens.current
                if self.tokens.accept("{", "<") is None:
                    raise self.tokens.error(f'Expected "{{" after "{name.text}", got: {opening}.', opening)
                inner = getattr(message, name.text)
                self._body(inner.add() if repeated else inner, opening, depth + 1)
                if not repeated:
                    inner.SetInParent()

        else:
            self.tokens.expect(":")

            def value() -> None:
                token = self.tokens.current
                read = self._scalar(found)
                try:
                    if repeated:
                        getattr(message, name.text).append(read)
                    elif name.text not in seen:
                        setattr(message, name.text, read)
                    else:
                        self._first_counts(name, token)
                except (TypeError, ValueError) as error:
                    raise self.tokens.error(f'Bad value for "{name.text}": {error}.', token) from None
                seen.add(name.text)

        if several and self.tokens.accept("["):
            if not self.tokens.accept("]"):
                value()
                while self.tokens.accept(","):
                    value()
                self.tokens.expect("]")
        else:
            value()
        seen.add(name.text)

    def _first_counts(self, name: Token, token: Token) -> None:
        where = ":".join(str(part) for part in (self.tokens.path or "<text>", self.tokens.place(token).line))
        _log.warning('%s: "%s" is given several times, as in a fork of Caffe; the first counts.', where, name.text)

    def _scalar(self, found: FieldDescriptor) -> Any:
        if found.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return self._string(found)
        minus = self.tokens.accept("-")
        token = self.tokens.next()
        if found.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            if token.text not in _BOOLS or minus:
                raise self.tokens.error(f'Expected true or false for "{found.name}", got: {token}.', token)
            return _BOOLS[token.text]
        if found.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            return self._enum(found, token, minus is not None)
        if found.cpp_type in _FLOATS:
            number = self._float(found, token)
        else:
            number = self._integer(found, token, minus is not None)
        return -number if minus else number

    def _enum(self, found: FieldDescriptor, token: Token, negative: bool) -> int:
        values = found.enum_type.values_by_name
        if token.kind == "name" and not negative and token.text in values:
            return int(values[token.text].number)
        if token.kind == "number" and token.text.isdigit():
            number = -int(token.text) if negative else int(token.text)
            if number in found.enum_type.values_by_number:
                return number
        raise self.tokens.error(
            f'Unknown enumeration value of "{token.text}" for field "{found.name}".',
            token,
            hints.unknown_value(self.schema, found.enum_type, token.text.strip("\"'")),
        )

    def _float(self, found: FieldDescriptor, token: Token) -> float:
        text = token.text.lower()
        if token.kind == "name" and text in ("inf", "infinity", "nan"):
            return float(text)
        if token.kind != "number":
            raise self.tokens.error(f'Expected a number for "{found.name}", got: {token}.', token)
        return float(int(text, 16)) if text.startswith("0x") else float(text.rstrip("f"))

    def _integer(self, found: FieldDescriptor, token: Token, negative: bool) -> int:
        text = token.text.lower()
        if token.kind != "number" or not re.fullmatch(r"0x[0-9a-f]+|\d+", text):
            raise self.tokens.error(f'Expected an integer for "{found.name}", got: {token}.', token)
        try:
            number = int(text, 16 if text.startswith("0x") else 8 if text.startswith("0") else 10)
        except ValueError:
            raise self.tokens.error(f'Not an octal number: "{text}".', token, "Leave out the leading 0.") from None
        least, most = _INTEGERS[found.cpp_type]
        if not least <= (-number if negative else number) <= most:
            raise self.tokens.error(
                f'Integer out of range for "{found.name}": {"-" if negative else ""}{text}.',
                token,
                f"It is from {least} to {most}.",
            )
        return number

    def _string(self, found: FieldDescriptor) -> str | bytes:
        first = self.tokens.current
        if first.kind != "string":
            hint = f'Put it in quotes: "{first.text}".' if first.kind in ("name", "number") else ""
            raise self.tokens.error(f'Expected a string for "{found.name}", got: {first}.', first, hint)
        raw = b""
        while self.tokens.current.kind == "string":
            raw += self._unescaped(self.tokens.next())
        if found.type == FieldDescriptor.TYPE_BYTES:
            return raw
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise self.tokens.error(f'The string for "{found.name}" is not UTF-8.', first) from None
        return text

    def _unescaped(self, token: Token) -> bytes:
        def plain(match: re.Match[bytes]) -> bytes:
            octal, hexadecimal, short, long, other = match.groups()
            if octal:
                return bytes([int(octal, 8) & 0xFF])
            if hexadecimal:
                return bytes([int(hexadecimal, 16)])
            if short or long:
                code = int(short or long, 16)
                if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                    raise self.tokens.error(f"No character has the number {code:#x}.", token)
                return chr(code).encode()
            if other not in _ESCAPED:
                raise self.tokens.error(
                    f"Unknown escape sequence {match[0].decode(errors='replace')} in a string.", token
                )
            return _ESCAPED[other]

        # Bytes of a file that were not UTF-8 arrive as surrogates (see content.py), and leave as they were.
        return _ESCAPE.sub(plain, token.text[1:-1].encode(errors="surrogateescape"))

    def _skip(self, depth: int) -> None:
        """Step over the value of an unknown field, whatever it is."""
        if depth > _DEEPEST:
            raise self.tokens.error(f"Messages are nested more than {_DEEPEST} deep.", self.tokens.current)
        self.tokens.accept(":")
        opening = self.tokens.accept("{", "<", "[")
        if opening is None:
            self.tokens.accept("-")
            if self.tokens.next().kind not in ("name", "number", "string"):
                raise self.tokens.error("Expected a value.", self.tokens.current)
            while self.tokens.current.kind == "string":
                self.tokens.next()
            return
        if opening.text == "[":
            while not self.tokens.accept("]"):
                self._skip(depth + 1)
                if self.tokens.current.text != "]":
                    self.tokens.expect(",")
            return
        while not self.tokens.accept(_CLOSING[opening.text]):
            if self.tokens.next().kind != "name":
                raise self.tokens.error(f'This "{opening.text}" is never closed.', opening)
            self._skip(depth + 1)
            self.tokens.accept(",", ";")
