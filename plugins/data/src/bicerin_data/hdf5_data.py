"""HDF5Data: rows of the datasets of HDF5 files.

Source: Caffe's `HDF5DataLayer`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError, LayerError
from bicerin.layer import Blob, BlobCounts, HasExample, Layer, Phase, TakesTurns, at_least
from bicerin.layer.data_file import read_data
from bicerin_data.bad_records import BadRecords
from bicerin_data.hdf5_file import Hdf5File
from bicerin_data.turns import gaps
from bicerin_proto import printable

#: What the generators are for.
_FILE_ORDER, _ROW_ORDER = 1, 2


class HDF5DataLayer(HasExample, TakesTurns, Layer):
    """Each top has the dataset of its name: (batch_size, ...), of any number of axes from 1, floats or integers.

    `source` is a text file that lists HDF5 files. Their rows come one after the other, over and over; a batch may end
    in one file and go on in the next. With `shuffle`, the files are in a new order in each epoch, and the rows in a new
    order in each file. A file is never loaded as a whole where its rows are read in their order. With
    `skip_bad_records`, a row that cannot be read is replaced by the good one before it.
    """

    type = "HDF5Data"
    example = """
        layer {
          name: "data" type: "HDF5Data" top: "data" top: "label"
          hdf5_data_param { source: "files.txt" batch_size: 64 shuffle: true }
        }
        """
    counts = BlobCounts(bottom=0, top=at_least(1))
    runs_on = "host"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.param.HasField("transform_param"):
            raise LayerError(f"{self.type} does not transform data.", "Drop transform_param.")
        param = self.param.hdf5_data_param
        if not param.batch_size:
            raise DataError("Positive batch size required.")
        self._names = list(self.param.top)
        self._paths = self._listed_files(param.source)
        self._shapes: list[tuple[int, ...]] = []
        self._bad = BadRecords(self)
        self._bad.records = 0
        for path in self._paths:
            # All files are looked at now, rather than failing hours later.
            file = self._open(path)
            self._shapes = file.shapes
            self._bad.records += file.rows
            file.close()
        for blob, shape in zip(top, self._shapes, strict=True):
            blob.reshape(param.batch_size, *shape)
        train = self.phase is Phase.TRAIN
        self._rank, self._replicas = (self.context.rank, self.context.replicas) if train else (0, 1)
        self._seed = int(self.context.random.integers(2**62))
        #: How many files were begun before this one, the next row in it, and all rows passed, other solvers' too.
        self._begun, self._row, self._passed = 0, 0, 0
        #: While ranks divide what is read: the batches that are others', before each turn and after the last; and the
        #: state before the first turn.
        self._gaps: deque[int] = deque()
        self._begin: Mapping[str, Any] = {}
        self._file: Hdf5File | None = None
        #: The last good row of each dataset, kept where a bad one may follow.
        self._good: list[np.ndarray] = []
        #: The present order of the files and of the rows: purpose -> (what it was drawn for, the order).
        self._orders: dict[int, tuple[tuple[int, ...], np.ndarray]] = {}

    def _listed_files(self, source: str) -> list[Path]:
        path = self.context.resolve(source)
        failure = "Failed to open source file"
        try:
            text = read_data(path, failure).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError(
                f"{failure} {printable(path)}: is not text.",
                "It lists HDF5 files, one per line; it is not an HDF5 file itself.",
            ) from None
        paths: list[Path] = []
        for line in text.splitlines():
            # Caffe separates names by any blank; a name with one in it works here if the file exists.
            whole = self.context.resolve(line.strip())
            names = [whole] if line.strip() and os.path.isfile(whole) else map(self.context.resolve, line.split())
            paths += names
        if not paths:
            raise DataError(f"Must have at least 1 HDF5 filename listed in {path}.")
        return paths

    def _open(self, path: Path) -> Hdf5File:
        """A file that fits the first one."""
        file = Hdf5File(path, self._names)
        reason = None if file.rows else "its datasets have no rows."
        for name, shape, first in zip(self._names, file.shapes, self._shapes or file.shapes, strict=True):
            if shape != first:
                reason = f'a row of dataset "{name}" has the shape {shape}, but {first} in {self._paths[0]}.'
        if reason:
            file.close()
            raise DataError(f"{path}: {reason}")
        return file

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The shapes stand since the set-up."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._gaps:
            self._pass_by(self._gaps.popleft())
        self._next_batch([blob.data for blob in top])
        if len(self._gaps) == 1:
            self._pass_by(self._gaps.popleft())

    def take_turns(self, turns: range, passes: int) -> None:
        self.restore_state(self.state())
        self._begin, self._gaps = self.state(), deque(gaps(turns, passes))
        if not turns:
            self._pass_by(self._gaps.popleft())

    def _pass_by(self, batches: int) -> None:
        """Go on to the batch after so many; where rows that cannot be read are replaced, by reading them."""
        batch_size = self.param.hdf5_data_param.batch_size
        shapes = self._shapes if self._bad.skipped else ()
        scratch = [np.empty((batch_size, *shape), self.dtype) for shape in shapes]
        for _ in range(batches):
            self._next_batch(scratch or None)

    def _next_batch(self, data: Sequence[np.ndarray] | None) -> None:
        """Read a batch into arrays of all its rows; or with None, go past it."""
        batch_size, replicas = self.param.hdf5_data_param.batch_size, self._replicas
        begun, row, passed, filled = self._begun, self._row, self._passed, 0
        file = self._nth_file(begun)
        while filled < batch_size:
            if row >= file.rows:
                begun, row = begun + 1, 0
                file = self._nth_file(begun)
            first = row + (self._rank - passed) % replicas
            number = min(batch_size - filled, -(-(file.rows - first) // replicas))
            if number > 0:
                rows = slice(first, first + (number - 1) * replicas + 1, replicas)
                if data is not None:
                    self._read(file, rows, begun, [array[filled : filled + number] for array in data])
                filled += number
                end = rows.stop
            else:
                end = file.rows
            passed += end - row
            row = end
        self._begun, self._row, self._passed = begun, row, passed

    def _read(self, file: Hdf5File, rows: slice, begun: int, out: Sequence[np.ndarray]) -> None:
        order = self._order(file.rows, _ROW_ORDER, begun) if self.param.hdf5_data_param.shuffle else None
        try:
            if order is not None:
                file.gather(order[rows], out)
            else:
                file.read(rows, out)
            self._bad.good()
        except DataError:
            if not self._bad.skipped:
                raise
            self._read_good(file, range(file.rows)[rows] if order is None else order[rows].tolist(), out)
        if self._bad.skipped:
            self._good = [array[-1:].copy() for array in out]

    def _read_good(self, file: Hdf5File, rows: Sequence[int], out: Sequence[np.ndarray]) -> None:
        """Row by row, since some cannot be read; those are replaced by the good one before."""
        waiting = 0  # rows before the first good one
        for place, row in enumerate(rows):
            target = [array[place : place + 1] for array in out]
            try:
                file.read(slice(row, row + 1), target)
            except DataError as error:
                self._bad.refuse(f"{file.path}: row {row}", DataError(str(error.__cause__)))
                if self._good:
                    for array, good in zip(target, self._good, strict=True):
                        array[...] = good
                else:
                    waiting += 1
                continue
            self._bad.good()
            self._good = [array.copy() for array in target]
            for array in out:
                array[place - waiting : place] = array[place]
            waiting = 0
        if waiting:
            raise DataError(f"{file.path}: none of the {len(rows)} rows of a batch can be read, nor any before.")

    @property
    def bad_records(self) -> int:
        """How many rows were skipped."""
        return self._bad.count

    def _nth_file(self, begun: int) -> Hdf5File:
        """The file that is read after `begun` others."""
        files = len(self._paths)
        index = begun % files
        if self.param.hdf5_data_param.shuffle:
            index = int(self._order(files, _FILE_ORDER, begun // files)[index])
        path = self._paths[index]
        if self._file is None or self._file.path != path:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._file = self._open(path)
        return self._file

    def _order(self, number: int, *purpose: int) -> np.ndarray:
        if self._orders.get(purpose[0], (None,))[0] != purpose:
            order = np.random.default_rng((self._seed, *purpose)).permutation(number)
            self._orders[purpose[0]] = purpose, order
        return self._orders[purpose[0]][1]

    def state(self) -> Mapping[str, Any]:
        if self._gaps:
            return self._begin
        return {
            "seed": self._seed,
            "begun": self._begun,
            "row": self._row,
            "passed": self._passed,
            "bad_records": self._bad.count,
        }

    def restore_state(self, state: Mapping[str, Any]) -> None:
        self._seed, self._begun, self._row, self._passed = (
            int(state[key]) for key in ("seed", "begun", "row", "passed")
        )
        self._bad.count = int(state.get("bad_records", 0))
        self._orders.clear()
        self._gaps.clear()
