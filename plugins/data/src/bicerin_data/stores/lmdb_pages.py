"""Reads an LMDB page by page, each looked at before it is believed.

The library maps the file into memory: a page that is damaged, or gone since the file was truncated, ends the process.
It also lets a process open a file once only, so that nets and the program around them could not both read a store. Here
the pages are read as any file is.

Nothing is locked. A writer leaves the pages of the newest state alone, and reuses those of older ones; so after each
page it is asked whether the state is still the newest, and if not, reading goes on in the new one, after the last key.

Format: LMDB 0.9 on 64-bit little-endian machines, data version 1. All numbers below are of that format.

    page    pgno u64, pad u16, flags u16, lower u16, upper u16, then the offset u16 of each node
            of a large value: pgno u64, pad u16, flags u16, pages u32, then the value, over as many pages as it needs
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
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct("<QHHHH")
_LARGE_HEADER = struct.Struct("<QHHI")
_NODE = struct.Struct("<HHHH")
_NUMBER = struct.Struct("<Q")
#: A meta page from its start: what stands before the two databases, and what stands after them.
_META = struct.Struct("<16xIIQQ")
_DATABASE = struct.Struct("<IHHQQQQQ")
_LAST = struct.Struct("<QQ")
_MAIN = _META.size + _DATABASE.size
_META_BYTES = _MAIN + _DATABASE.size + _LAST.size

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_PAGE_SIZES = range(256, 65536 + 1)
_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04
_LARGE, _DATABASE_IN_DATABASE, _DUPLICATES = 0x01, 0x02, 0x04
_NO_PAGE = 2**64 - 1
#: Bytes up to which a header and a value are read together, and parted by a copy: a call costs as much as a copy of
#: some thousand bytes, and lets another thread of the program have the interpreter.
_COPIED = 1 << 16
#: Bytes that are read at a time where such pages are asked for one after the other.
_AHEAD = 1 << 18
#: What the library's own cursors can descend.
_MOST_DEPTH = 32


class DamagedPageError(ValueError):
    """A page is not what it should be."""


class _State(NamedTuple):
    """A state of the store: what one transaction has left."""

    transaction: int
    page_size: int
    last_page: int
    root: int
    depth: int


class _Record(NamedTuple):
    """A key, and its value: the bytes, or where it has pages of its own the number of the first."""

    key: bytes
    size: int
    value: bytes
    large: int | None


class _Window(NamedTuple):
    """What was read of a state: the bytes of the file from a place on."""

    transaction: int
    begin: int
    content: bytes


class _OvertakenError(Exception):
    """A writer has made a new state."""


class LmdbPages:
    """The records of a `data.mdb`.

    Args:
        file: it, open; without a buffer, since it may change.

    Raises:
        DamagedPageError: it is not an LMDB, is of a kind that is not read here, or is shorter than it says.
    """

    def __init__(self, file: BinaryIO) -> None:
        #: Held, since it closes the descriptor when it goes.
        self._file = file
        self._descriptor = file.fileno()
        self._page_size = 0
        #: Where that ends which was asked for last.
        self._asked = 0
        state = self._newest()
        size, expected = os.fstat(file.fileno()).st_size, (state.last_page + 1) * state.page_size
        # Pages at the end that were freed before they were written are missing from a file that is whole.
        if size < expected and not self._reaches(size):
            raise DamagedPageError(
                f"it is truncated: it has {size} bytes, but {state.last_page + 1} pages need {expected}"
            )

    def records(self, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of each record, in the order of the keys; with `after`, of those whose key is greater.

        Raises:
            DamagedPageError: when the iteration comes to a damaged page.
        """
        while True:
            state = self._newest()
            try:
                for record in self._records(state, after):
                    if after is None or record.key > after:
                        yield record.key, self._value(state, record)
                        after = record.key
                return
            except _OvertakenError:
                continue

    def keys(self, after: bytes | None = None) -> Iterator[bytes]:
        """The key of each record, in their order; with `after`, of those whose key is greater. Values that have pages
        of their own are not read.

        Raises:
            DamagedPageError: when the iteration comes to a damaged page.
        """
        while True:
            try:
                for record in self._records(self._newest(), after):
                    if after is None or record.key > after:
                        yield record.key
                        after = record.key
                return
            except _OvertakenError:
                continue

    def _reaches(self, size: int) -> bool:
        """Whether so many bytes hold all pages that records are on."""
        state = self._newest()
        try:
            for record in self._records(state, None):
                if record.large is not None:
                    end = record.large * state.page_size + _LARGE_HEADER.size + record.size
                    if end > size:
                        return False
        except DamagedPageError:
            return False
        except _OvertakenError:
            return True  # a writer is at it; each page is looked at when it is read
        return True

    def _newest(self) -> _State:
        self._window = _Window(0, 0, b"")  # what has become of the file since is not in it
        states = [self._state(0)]
        self._page_size = states[0].page_size
        states.append(self._state(1))
        return max(states)

    def _state(self, number: int) -> _State:
        meta = self._read(number * self._page_size, _META_BYTES)
        if len(meta) < _META_BYTES:
            raise DamagedPageError("it is too short to be an LMDB")
        magic, version, *_ = _META.unpack_from(meta)
        if magic != _MAGIC:
            raise DamagedPageError("it is not an LMDB: it does not begin like one")
        if version != _VERSION:
            raise DamagedPageError(f"it is an LMDB of data version {version}; version {_VERSION} is read here")
        page_size = _DATABASE.unpack_from(meta, _META.size)[0]
        _, flags, depth, *_, root = _DATABASE.unpack_from(meta, _MAIN)
        last, transaction = _LAST.unpack_from(meta, _MAIN + _DATABASE.size)
        deep = root == _NO_PAGE or 0 < depth <= _MOST_DEPTH
        if page_size not in _PAGE_SIZES or page_size & (page_size - 1) or not deep:
            raise DamagedPageError(f"page {number} has a header that makes no sense")
        if flags:
            raise DamagedPageError(
                f"its keys are not plain bytes in their order (flags {flags:#x}), as those of Caffe's stores are"
            )
        return _State(transaction, page_size, last, root, depth)

    def _page(self, state: _State, number: int) -> bytes:
        """A page that the state has."""
        size = state.page_size
        content, at = self._content(state, number, size)
        return content[at : at + size]

    def _content(self, state: _State, number: int, size: int) -> tuple[bytes, int]:
        """Bytes with so many in them of a page of the state's and of those that follow it, and where these begin there.

        More is read where they follow what was asked for before.
        """
        begin = self._place(state, number, size)
        transaction, first, content = self._window
        at = begin - first
        if transaction != state.transaction or not 0 <= at <= len(content) - size:
            follows = self._asked <= begin <= self._asked + state.page_size
            most = (state.last_page + 1) * state.page_size - begin
            content, at = self._read(begin, min(max(size, _AHEAD), most) if follows else size), 0
            self._look_whether_newest(state)
            if len(content) < size:
                raise _missing(number)
            self._window = _Window(state.transaction, begin, content)
        self._asked = begin + size
        return content, at

    @staticmethod
    def _place(state: _State, number: int, size: int) -> int:
        """Where a page begins in the file, which has so many bytes of the state from there on."""
        begin = number * state.page_size
        if number < 2 or begin + size > (state.last_page + 1) * state.page_size:
            raise DamagedPageError(f"page {number} is outside of the file")
        return begin

    def _look_whether_newest(self, state: _State) -> None:
        """Raise, if a writer may have written over what was just read of a state."""
        if self._transaction() > state.transaction:
            raise _OvertakenError

    def _transaction(self) -> int:
        """The newest one: what both meta pages say is read at once, since a call costs more than the bytes between."""
        first = _META_BYTES - _NUMBER.size
        read = os.pread(self._descriptor, self._page_size + _NUMBER.size, first)
        return max(_NUMBER.unpack_from(read)[0], _NUMBER.unpack_from(read, self._page_size)[0])

    def _read(self, offset: int, size: int) -> bytes:
        read = os.pread(self._descriptor, size, offset)
        if len(read) in (0, size):
            return read
        return read + self._read(offset + len(read), size - len(read))  # what is large may come in parts

    def _records(self, state: _State, after: bytes | None) -> Iterator[_Record]:
        """The records of a state, in the order of their keys, but for leaves that end before `after`."""
        previous: bytes | None = None
        for page in self._leaves(state, state.root, state.depth, after) if state.root != _NO_PAGE else ():
            for key, begin, flags, size in _nodes(page):
                is_large = flags & _LARGE
                end = begin + (_NUMBER.size if is_large else size)
                if end > len(page):
                    raise _damaged(page, "has a value that reaches beyond it")
                if previous is not None and key <= previous:
                    raise _damaged(page, "has keys that are not in their order")
                if flags & (_DATABASE_IN_DATABASE | _DUPLICATES):
                    raise _damaged(page, "holds a nested database, where Caffe has records")
                previous = key
                value = page[begin:end]
                yield _Record(key, size, value, _NUMBER.unpack(value)[0] if is_large else None)

    def _value(self, state: _State, record: _Record) -> bytes:
        number = record.large
        if number is None:
            return record.value
        begin, size = _LARGE_HEADER.size, record.size
        if size > _COPIED:
            place = self._place(state, number, begin + size)
            header, value = self._read(place, begin), self._read(place + begin, size)
            self._look_whether_newest(state)
            if len(header) < begin or len(value) < size:
                raise _missing(number)
            found, _, flags, _ = _LARGE_HEADER.unpack(header)
        else:
            content, at = self._content(state, number, begin + size)
            found, _, flags, _ = _LARGE_HEADER.unpack_from(content, at)
            value = content[at + begin : at + begin + size]
        if found != number or not flags & _OVERFLOW:
            raise DamagedPageError(f"page {number} is not that of a large value")
        return value

    def _leaves(self, state: _State, number: int, depth: int, after: bytes | None) -> Iterator[bytes]:
        """The leaves below a page, which stands `depth` levels above nothing, but for those that end before `after`."""
        page = self._page(state, number)
        kind = _LEAF if depth == 1 else _BRANCH
        found, _, flags, lower, upper = _HEADER.unpack_from(page)
        if (
            found != number
            or flags & (_LEAF | _BRANCH) != kind
            or not _HEADER.size < lower <= upper <= state.page_size
            or lower % 2
        ):
            raise DamagedPageError(f"page {number} has a header that makes no sense")
        if kind == _LEAF:
            yield page
            return
        children = [(key, low | flags << 32) for key, _, flags, low in _nodes(page)]
        if len(children) < 2:
            raise _damaged(page, f"branches into {len(children)}")
        for index, (_, child) in enumerate(children):
            # The keys below a child are less than the next child's.
            if after is None or index + 1 == len(children) or children[index + 1][0] > after:
                yield from self._leaves(state, child, depth - 1, after)


def _nodes(page: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Each node of a page whose header has been looked at: its key, where that ends, its flags, and low and high."""
    *_, lower, upper = _HEADER.unpack_from(page)
    for (offset,) in struct.iter_unpack("<H", page[_HEADER.size : lower]):
        if not upper <= offset <= len(page) - _NODE.size:
            raise _damaged(page, "has a node outside the page")
        low, high, flags, key_size = _NODE.unpack_from(page, offset)
        begin = offset + _NODE.size
        end = begin + key_size
        if end > len(page):
            raise _damaged(page, "has a key that reaches beyond it")
        yield page[begin:end], end, flags, low | high << 16


def _damaged(page: bytes, what: str) -> DamagedPageError:
    return DamagedPageError(f"page {_NUMBER.unpack_from(page)[0]} {what}")


def _missing(number: int) -> DamagedPageError:
    return DamagedPageError(f"page {number} is missing: the file was truncated")
