"""ByName: what a net has by name, as a dict whose `KeyError` says what is close to a name that it lacks."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from bicerin.layer.blob_list import cannot_be_replaced
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

    def __setitem__(self, name: Any, value: Any) -> NoReturn:
        raise cannot_be_replaced(f"[{name!r}]" + ("[0]" if isinstance(self.get(name), list) else ""))

    def __reduce__(self) -> Any:
        return dict, (dict(self),)  # a copy is one to change at will
