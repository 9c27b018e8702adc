"""How many blobs a layer takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from bicerin.errors import BlobCountError


@dataclass(frozen=True)
class Range:
    """How many blobs: from `least` to `most`, both included; None means no limit."""

    least: int = 0
    most: int | None = None

    def __contains__(self, number: int) -> bool:
        return self.least <= number and (self.most is None or number <= self.most)

    @property
    def exact(self) -> int | None:
        return self.least if self.least == self.most else None

    def __str__(self) -> str:
        if self.exact is not None:
            return str(self.exact)
        if self.most is None:
            return f"{self.least}+" if self.least else "any"
        return f"{self.least} to {self.most}"


def at_least(number: int) -> Range:
    return Range(number, None)


def at_most(number: int) -> Range:
    return Range(0, number)


def between(least: int, most: int) -> Range:
    return Range(least, most)


any_number = Range()


@dataclass(frozen=True)
class BlobCounts:
    """How many blobs a layer takes and gives.

    Args:
        bottom, top: an int is exact; else `at_least(n)`, `at_most(n)`, `between(a, b)`, `any_number`.
        equal: there must be as many tops as bottoms.
        auto_top: tops that the prototxt leaves out are made, up to the least number (as the losses' are).
    """

    bottom: int | Range = any_number
    top: int | Range = any_number
    equal: bool = False
    auto_top: bool = False

    def __post_init__(self) -> None:
        for name in ("bottom", "top"):
            value = getattr(self, name)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                object.__setattr__(self, name, Range(value, value))
            elif not isinstance(value, Range):
                raise TypeError(f"{name}={value!r}: a number of blobs is an int of at least 0, or a Range.")

    def check(self, type_name: str, bottom: int, top: int) -> None:
        """Raise a `BlobCountError`, in Caffe's words, unless the numbers fit."""
        for kind, number, allowed in (
            ("bottom", bottom, cast(Range, self.bottom)),
            ("top", top, cast(Range, self.top)),
        ):
            if number in allowed:
                continue
            verb = "takes" if kind == "bottom" else "produces"
            limit: int | None
            if allowed.exact is not None:
                rule, limit = "", allowed.least
            elif number < allowed.least:
                rule, limit = "at least ", allowed.least
            else:
                rule, limit = "at most ", allowed.most
            raise BlobCountError(
                f"{type_name} Layer {verb} {rule}{limit} {kind} blob(s) as {'input' if kind == 'bottom' else 'output'}."
                f" It was given {number}."
            )
        if self.equal and bottom != top:
            raise BlobCountError(
                f"{type_name} Layer produces one top blob as output for each bottom blob input. "
                f"It was given {bottom} bottom and {top} top blob(s)."
            )
