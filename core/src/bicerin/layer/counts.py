"""How many blobs a layer takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, init=False)
class BlobCounts:
    """How many blobs a layer takes and gives.

    Args:
        bottom, top: an int is exact; else `at_least(n)`, `at_most(n)`, `between(a, b)`, `any_number`.
        equal: there must be as many tops as bottoms.
        auto_top: tops that the prototxt leaves out are made, up to the least number (as the losses' are).
    """

    bottom: Range
    top: Range
    equal: bool
    auto_top: bool

    def __init__(
        self,
        bottom: int | Range = any_number,
        top: int | Range = any_number,
        equal: bool = False,
        auto_top: bool = False,
    ) -> None:
        values = {
            "bottom": _range("bottom", bottom),
            "top": _range("top", top),
            "equal": equal,
            "auto_top": auto_top,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)  # past `frozen`

    def check(self, type_name: str, bottom: int, top: int) -> None:
        """Raise a `BlobCountError`, in Caffe's words, unless the numbers fit."""
        for kind, number, allowed in (("bottom", bottom, self.bottom), ("top", top, self.top)):
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


def _range(name: str, value: object) -> Range:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Range(value, value)
    if not isinstance(value, Range):
        raise TypeError(f"{name}={value!r}: a number of blobs must be an int of at least 0, or a Range.")
    return value
