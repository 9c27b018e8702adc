"""ByName: what a net has by name, as a dict whose `KeyError` says what is close to a name that it lacks."""

from __future__ import annotations

from typing import TypeVar

from bicerin_proto.hints import did_you_mean

Value = TypeVar("Value")


class ByName(dict[str, Value]):
    """A dict.

    Attributes:
        what: what it is said to lack, such as "the net has no blob".
    """

    what = "there is no"

    @classmethod
    def of(cls, what: str, entries: dict[str, Value]) -> ByName[Value]:
        result = cls(entries)
        result.what = what
        return result

    def __missing__(self, name: str) -> Value:
        close = did_you_mean(name, self) if isinstance(name, str) else ""
        quoted = f'"{name}"' if isinstance(name, str) else repr(name)
        raise KeyError(f"{self.what} {quoted}. {close or 'There are: ' + (', '.join(self) or 'none') + '.'}")
