"""Looks at the pages of an LMDB before the library does, which ends the process where a page is damaged.

Format: LMDB 0.9 on 64-bit little-endian machines, data version 1. All numbers below are of that format.

    page    pgno u64, pad u16, flags u16, lower u16, upper u16, then the offset u16 of each node
    node    low u16, high u16, flags u16, key size u16, key, value
            in a branch, low, high and flags make the number of the child page
            in a leaf, low and high make the value's size; a large value has pages of its own, and their number here
    meta    (pages 0 and 1, after the header) magic u32, version u32, address u64, map size u64, 2 databases, last page
            u64, transaction u64
    database  pad u32 (page size), flags u16, depth u16, branch, leaf, overflow pages, entries, root u64
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<QHHHH")
_NODE = struct.Struct("<HHHH")
_META = struct.Struct("<IIQQ")
_DATABASE = struct.Struct("<IHHQQQQQ")
_LAST = struct.Struct("<QQ")
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF = 0x01, 0x02
_LARGE = 0x01
_NO_PAGE = 2**64 - 1


class DamagedPageError(ValueError):
    """A page is not what it should be."""


def checked_leaves(file: int, page_size: int, transaction: int) -> Iterator[bytes] | None:
    """The last key of each leaf, in order, once the leaf and the branches above it have been looked at.

    Args:
        file: descriptor of `data.mdb`.
        page_size: as the library says.
        transaction: the number of the state of the store that is read.

    Returns:
        None where the format is another, so that nothing can be said of its pages.

    Raises:
        DamagedPageError: when the iteration comes to a damaged page.
    """
    for number in (0, 1):
        page = os.pread(file, page_size, number * page_size)
        magic, version, *_ = _META.unpack_from(page, _HEADER.size)
        main = _HEADER.size + _META.size + _DATABASE.size
        stated = _DATABASE.unpack_from(page, main - _DATABASE.size)[0]
        _, flags, depth, *_, root = _DATABASE.unpack_from(page, main)
        last, current = _LAST.unpack_from(page, main + _DATABASE.size)
        if (magic, version, stated, current) == (_MAGIC, _VERSION, page_size, transaction) and not flags:
            return iter(()) if root == _NO_PAGE else _leaves(file, page_size, last, root, depth)
    return None


def _leaves(file: int, page_size: int, last: int, number: int, depth: int) -> Iterator[bytes]:
    """The leaves below a page, which stands `depth` levels above nothing."""
    page = os.pread(file, page_size, number * page_size) if 1 < number <= last else b""
    if len(page) < page_size:
        raise DamagedPageError(f"page {number} is outside of the file")
    found, _, flags, lower, upper = _HEADER.unpack_from(page)
    nodes = (lower - _HEADER.size) // 2
    kind = _LEAF if depth == 1 else _BRANCH
    if found != number or flags & (_LEAF | _BRANCH) != kind or not _HEADER.size < lower <= upper <= page_size:
        raise DamagedPageError(f"page {number} has a header that makes no sense")
    if kind == _BRANCH and nodes < 2:
        raise DamagedPageError(f"page {number} branches into {nodes}")
    key = b""
    for offset in struct.unpack_from(f"<{nodes}H", page, _HEADER.size):
        if not upper <= offset <= page_size - _NODE.size:
            raise DamagedPageError(f"page {number} has a node outside of itself")
        low, high, node_flags, key_size = _NODE.unpack_from(page, offset)
        value = offset + _NODE.size + key_size
        if kind == _BRANCH:
            if value > page_size:
                raise DamagedPageError(f"page {number} has a key that reaches beyond it")
            yield from _leaves(file, page_size, last, low | high << 16 | node_flags << 32, depth - 1)
            continue
        size = low | high << 16
        large = node_flags & _LARGE
        if value + (8 if large else size) > page_size:
            raise DamagedPageError(f"page {number} has a value that reaches beyond it")
        if large:
            first = int.from_bytes(page[value : value + 8], "little")
            if first < 2 or first + (_HEADER.size + size + page_size - 1) // page_size > last + 1:
                raise DamagedPageError(f"page {number} has a value that is outside of the file")
        key = page[offset + _NODE.size : value]
    if kind == _LEAF:
        yield key
