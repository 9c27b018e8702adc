"""BlobList: blobs as a user's code gets them."""

from __future__ import annotations

from typing import Any, NoReturn

from bicerin.layer.blob import Blob


class BlobList(list[Blob]):
    """A list in which no blob can be replaced: what shows it would still have the old one."""

    def __setitem__(self, place: Any, value: Any) -> NoReturn:
        raise cannot_be_replaced(f"[{place!r}]")


def cannot_be_replaced(which: str) -> TypeError:
    """The error of an assignment that would change nothing but a list."""
    return TypeError(
        f"a blob cannot be replaced by an assignment to {which}: write its values, {which}.data[...] = array; for "
        f"another shape, {which}.reshape(...) first."
    )
