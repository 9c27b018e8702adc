"""Parse protobuf's text format (prototxt).

Protobuf's own parser knows neither where a layer stood in its file nor what a plugin would have understood. This one
keeps the place of every field of the outermost message, and its errors say what would be right.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from bicerin_proto import distribution, hints
from bicerin_proto.cardinality import is_repeated, is_required
from bicerin_proto.errors import ParseError
from bicerin_proto.quotation import printable
from bicerin_proto.schema import Schema
from bicerin_proto.tokens import Place, Token, Tokens

_log = logging.getLogger("bicerin.proto")

_CLOSING = {"{": "}", "<": ">"}
_LAYER = "caffe.LayerParameter"
_DEEPEST = 100
_MOST_DIGITS = 20
"""A decimal integer with more digits is out of every range."""
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
    text: str,
    message: Message,
    schema: Schema,
    *,
    path: str | PathLike[str] | None = None,
    skip_unknown: bool = False,
    layer_types: Collection[str] | None = None,
) -> Places:
    """Parse `text` into `message`, a message of `schema`, and return where the fields stood.

    Args:
        path: the file the text comes from, for error messages.
        skip_unknown: skip what the schema does not know, instead of raising.
        layer_types: the types of layers that can be made, where that is known: an error about a name in a layer of
            another type begins with that type.

    Raises:
        ParseError: the text is not in the text format, names a field or value that the message does not have, or needs
            more memory or stack than is available.
    """
    tokens = None
    try:
        tokens = Tokens(text, path)
        parser = _Parser(tokens, schema, skip_unknown, layer_types)
        parser.parse(message)
    except (MemoryError, RecursionError) as error:
        what = "memory" if isinstance(error, MemoryError) else "stack"
        reason = f"Parsing this needs more {what} than is available."
        raise (ParseError(reason, path=path) if tokens is None else tokens.error(reason, tokens.current)) from None
    return dict(parser.places)


@dataclass
class _Parser:
    tokens: Tokens
    schema: Schema
    skip_unknown: bool
    layer_types: Collection[str] | None = None
    places: Places = field(default_factory=lambda: defaultdict(list))
    layer_start: Token | None = None
    """The opening brace of the layer that is being parsed."""

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

    def _unknown(self, descriptor: Descriptor, name: Token) -> ParseError:
        conflict = self.schema.conflict(descriptor.name, name.text)
        if conflict is not None:
            return self.tokens.error(conflict.reason, name, conflict.hint)
        return self._unknown_name(
            f'Message type "{descriptor.full_name}" has no field named "{name}".',
            name,
            hints.provider(self.schema, descriptor, name.text),
            hints.unknown_field(self.schema, descriptor, name.text),
        )

    def _unknown_name(self, reason: str, name: Token, provider: str, hint: str) -> ParseError:
        """Return an error about a name that the schema lacks.

        Args:
            provider: who is known to bring it, or "".
            hint: what else would be right.
        """
        layer = self._read_layer()
        if layer is None or not layer.type or self.layer_types is None or layer.type in self.layer_types:
            return self.tokens.error(reason, name, provider or hint)
        brings = distribution.layer_distribution(layer.type)
        what = f'layer "{printable(layer.name)}" has the type "{printable(layer.type)}"'
        meant = "" if brings or provider else hints.did_you_mean(layer.type, self.layer_types)
        hint = hints.comes_with(brings) if brings else provider
        parts = [f"{what}, which no installed plugin brings.", meant, reason]
        return self.tokens.error(" ".join(filter(None, parts)), name, hint)

    def _read_layer(self) -> Any:
        """Return the layer that is being parsed, as far as the schema knows it: its type may stand at its end."""
        if self.layer_start is None:
            return None
        layer = self.schema.LayerParameter()
        ahead = Tokens(self.tokens.text, self.tokens.path, self.layer_start.offset)
        ahead.next()
        with contextlib.suppress(ParseError):
            _Parser(ahead, self.schema, skip_unknown=True)._body(layer, self.layer_start, 1)
        return layer

    def _known(self, message: Message, found: FieldDescriptor, name: Token, seen: set[str], depth: int) -> None:
        repeated = is_repeated(found)
        several = repeated or (
            found.message_type is None and self.schema.is_repeated_elsewhere(message.DESCRIPTOR.name, name.text)
        )
        if name.text in seen and not several:
            raise self.tokens.error(f'Non-repeated field "{name}" is specified multiple times.', name)
        value: Callable[[], None]
        if found.message_type is not None:
            self.tokens.accept(":")

            def value() -> None:
                opening = self.tokens.current
                if self.tokens.accept("{", "<") is None:
                    hint = hints.not_a_message(message.DESCRIPTOR, name.text, opening.content)
                    raise self.tokens.error(f'Expected "{{" after "{name}", got: {opening}.', opening, hint)
                inner = getattr(message, name.text)
                outer_start = self.layer_start
                if found.message_type.full_name == _LAYER:
                    self.layer_start = opening
                self._body(inner.add() if repeated else inner, opening, depth + 1)
                self.layer_start = outer_start
                if not repeated:
                    inner.SetInParent()

        else:
            hint = "" if self.tokens.current.text == ":" else hints.not_a_value(message.DESCRIPTOR, name.text)
            self.tokens.expect(":", hint)

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
                    raise self.tokens.error(f'Bad value for "{name}": {printable(error)}.', token) from None
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
        path = "<text>" if self.tokens.path is None else printable(self.tokens.path)
        _log.warning(
            '%s:%d: "%s" is given several times, as in a fork of Caffe; the first counts.',
            path, self.tokens.place(token).line, name,
        )  # fmt: skip

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
        if token.kind == "number" and re.fullmatch(r"[0-9]{1,10}", token.text):
            number = -int(token.text) if negative else int(token.text)
            if number in found.enum_type.values_by_number:
                return number
        raise self._unknown_name(
            f'Unknown enumeration value of "{token.content}" for field "{found.name}".',
            token,
            "",
            hints.unknown_value(found.enum_type, token.content, quoted=token.kind == "string"),
        )

    def _float(self, found: FieldDescriptor, token: Token) -> float:
        text = token.text.lower()
        if token.kind == "name" and text in ("inf", "infinity", "nan"):
            return float(text)
        if token.kind != "number":
            raise self.tokens.error(f'Expected a number for "{found.name}", got: {token}.', token)
        try:
            return float(int(text, 16)) if text.startswith("0x") else float(text.rstrip("f"))
        except OverflowError:
            raise self.tokens.error(f'Number out of range for "{found.name}": {token}.', token) from None

    def _integer(self, found: FieldDescriptor, token: Token, negative: bool) -> int:
        text = token.text.lower()
        if token.kind != "number" or not re.fullmatch(r"0x[0-9a-f]+|[0-9]+", text):
            raise self.tokens.error(f'Expected an integer for "{found.name}", got: {token}.', token)
        base = 16 if text.startswith("0x") else 8 if text.startswith("0") else 10
        if base == 8 and not re.fullmatch(r"[0-7]+", text):
            raise self.tokens.error(f'Not an octal number: "{token}".', token, "Remove the leading 0.")
        # Python converts no more than some thousands of decimal digits.
        number = int(text, base) if base != 10 or len(text) <= _MOST_DIGITS else 10**_MOST_DIGITS
        least, most = _INTEGERS[found.cpp_type]
        if not least <= (-number if negative else number) <= most:
            raise self.tokens.error(
                f'Integer out of range for "{found.name}": {"-" if negative else ""}{token}.',
                token,
                f"It is from {least} to {most}.",
            )
        return number

    def _string(self, found: FieldDescriptor) -> str | bytes:
        first = self.tokens.current
        if first.kind != "string":
            hint = hints.unquoted(found, first.text) if first.kind in ("name", "number") else ""
            raise self.tokens.error(f'Expected a string for "{found.name}", got: {first}.', first, hint)
        parts: list[bytes] = []
        while self.tokens.current.kind == "string":
            parts.append(self._unescaped(self.tokens.next()))
        raw = b"".join(parts)
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
                sequence = printable(match[0].decode(errors="replace"))
                raise self.tokens.error(f"Unknown escape sequence {sequence} in a string.", token)
            return _ESCAPED[other]

        # Bytes of a file that were not UTF-8 arrive as surrogates (see content.py), and leave as they were.
        try:
            raw = token.text[1:-1].encode(errors="surrogateescape")
        except UnicodeEncodeError as error:
            character = printable(error.object[error.start])
            raise self.tokens.error(f"A string holds {character}, which is not a character.", token) from None
        return _ESCAPE.sub(plain, raw) if b"\\" in raw else raw

    def _skip(self, depth: int) -> None:
        """Step over the value of an unknown field, whatever it is."""
        if depth > _DEEPEST:
            raise self.tokens.error(f"Messages are nested more than {_DEEPEST} deep.", self.tokens.current)
        self.tokens.accept(":")
        opening = self.tokens.accept("{", "<", "[")
        if opening is None:
            self.tokens.accept("-")
            value = self.tokens.next()
            if value.kind not in ("name", "number", "string"):
                raise self.tokens.error(f"Expected a value, got: {value}.", value)
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
