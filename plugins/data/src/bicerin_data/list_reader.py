"""ListReader: a reader of the lines of a file that lists records, in their order or shuffled anew in each epoch."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Layer, Phase
from bicerin_data.decoding_reader import DecodingReader
from bicerin_data.transformer import Transformer

_log = logging.getLogger("bicerin.data")

#: What the reader's generators are for, besides the transformation of a batch (0).
_SKIP, _ORDER = 1, 2

Entry = TypeVar("Entry")


class Turn(NamedTuple):
    """An entry of the list whose turn it is, and where the reader stands after it: no two turns stand at the same."""

    entry: Any
    line: int
    epoch: int


class ListReader(DecodingReader, Generic[Entry]):
    """Reads the entries of a list over and over; its records are `Turn`s, and `decode` says what one of them is.

    Of several solvers that train together, each uses the entries whose number is its own rank modulo their number;
    where the order is random, each has an order of its own and uses all of them.

    Args:
        entries: those of the list, at least one.
        source: what an error calls the list.
        shuffle: whether each epoch has an order of its own, which the layer's seed decides.
        rand_skip: as many entries at most are left out before the first, a random number of them.

    Attributes:
        noun: what an error calls the records.

    Raises:
        DataError: more are to be left out than there are.
    """

    noun = "records"

    def __init__(
        self,
        layer: Layer,
        batch_size: int,
        transformer: Transformer,
        entries: Sequence[Entry],
        source: str,
        *,
        shuffle: bool,
        rand_skip: int,
    ) -> None:
        super().__init__(layer, batch_size, transformer)
        self.entries = entries
        self.source = source
        self._shuffled = shuffle
        self._rand_skip = rand_skip
        self._order = np.arange(len(entries))
        #: Which share of the lines is this solver's, and of how many: every so many lines there is one of its own.
        self._share, self._shares = 0, 1
        if layer.phase is Phase.TRAIN and not shuffle and not rand_skip:
            self._share, self._shares = layer.context.rank, layer.context.replicas
        self.bad.records = len(entries) // gcd(len(entries), self._shares)
        #: The next line in the present order, and how often all lines have been read; and both as of the entries that
        #: were used.
        self._line = 0
        self._epoch = 0
        if rand_skip:
            skip = int(self.random(_SKIP).integers(rand_skip))
            if skip >= len(entries):
                raise DataError(f"Not enough points to skip: {skip} of {len(entries)}.")
            self._line = skip
        self._epoch, self._line = divmod(self._line + self._share, len(entries))
        self._used = (self._line, self._epoch)
        self._shuffle()

    @abstractmethod
    def key(self, entry: Entry) -> bytes:
        """What tells an entry from others."""

    def _shuffle(self) -> None:
        """Put the lines into the order of the epoch."""
        if self._shuffled:
            self._order = self.random(_ORDER, self._epoch).permutation(len(self.entries))

    def first_shape(self) -> tuple[int, ...]:
        for number in range(self._line, self._line + len(self.entries)):
            turn = Turn(self.entries[self._order[number % len(self.entries)]], number + 1, self._epoch)
            try:
                return self.transformer.output_shape(self.decode(turn)[0].shape)
            except DataError as error:
                if not self.bad.skipped:
                    raise type(error)(f"{self.name_of(turn)}: {error.reason}", error.hint) from error.__cause__
        raise DataError(f"source {self.source}: none of its {len(self.entries)} {self.noun} can be read.")

    def next_record(self) -> Turn:
        entry = self.entries[self._order[self._line]]
        epochs, self._line = divmod(self._line + self._shares, len(self.entries))
        if epochs:
            _log.debug('layer "%s": Restarting data prefetching from start.', self.layer_name)
            self._epoch += epochs
            self._shuffle()
        return Turn(entry, self._line, self._epoch)

    def pass_by(self, batches: int) -> None:
        if self.bad.skipped:
            super().pass_by(batches)
            return
        self.forget_ahead()
        line, epoch = self._used
        whole, line = divmod(line + batches * self.batch_size * self._shares, len(self.entries))
        self._line, self._epoch = self._used = line, epoch + whole
        self.number += batches
        self._shuffle()

    def used(self, record: Turn) -> None:
        self._used = (record.line, record.epoch)

    def keys(self) -> Sequence[bytes]:
        if self._shuffled or self._rand_skip:
            raise DataError(f"its {self.noun} come in another order each time: it has shuffle or rand_skip.")
        # As convert_imageset calls them: an entry may be listed twice, and their names need not be in order.
        return [b"%08d_%s" % (number, self.key(entry)) for number, entry in enumerate(self.entries)]

    def place_after(self, batches: int, keys: Sequence[bytes]) -> Mapping[str, Any]:
        epoch, line = divmod(batches * self.batch_size, len(keys))
        return {**super().place_after(batches, keys), "line": line, "epoch": epoch}

    def position(self) -> dict[str, Any]:
        return {**super().position(), "line": self._used[0], "epoch": self._used[1]}

    def seek(self, position: Mapping[str, Any]) -> None:
        super().seek(position)
        number = int(position["epoch"]) * len(self.entries) + int(position["line"])
        number += (self._share - number) % self._shares  # a solver may be given the position of another
        self._epoch, self._line = divmod(number, len(self.entries))
        self._used = (self._line, self._epoch)
        self._shuffle()
