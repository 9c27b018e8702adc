"""Records that cannot be used: an error, or with `skip_bad_records` counted and said in the log."""

from __future__ import annotations

import logging

from bicerin.errors import DataError
from bicerin.layer import Layer

_log = logging.getLogger("bicerin.data")
_SHOWN = 10


class BadRecords:
    """The bad records of one layer.

    Attributes:
        skipped: whether they are skipped.
        count: how many were; `in_a_row` since the last good one.
        records: how many there are, once that is known: so many bad ones in a row are an error in any case.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer_name = layer.name
        self.skipped = layer.context.skip_bad_records
        self.count = self.in_a_row = 0
        self.records: int | None = None

    def refuse(self, name: str, error: DataError) -> None:
        """Raise an error that names the record, or count it and say so."""
        if not self.skipped:
            raise DataError(f"{name}: {error.reason}", error.hint) from error.__cause__
        self.count += 1
        self.in_a_row += 1
        if self.records is not None and self.in_a_row >= self.records:
            raise DataError(f"none of {self.records} records can be read; the last: {name}: {error.reason}", error.hint)
        if self.count <= _SHOWN:
            _log.warning('layer "%s": skipped a bad record: %s: %s', self._layer_name, name, error.reason)
        elif self.count % 100 == 0:
            _log.warning('layer "%s": %d bad records skipped so far.', self._layer_name, self.count)

    def good(self) -> None:
        """A record was good."""
        self.in_a_row = 0
