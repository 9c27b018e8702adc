"""Features of many records: by this process, or by several ranks, each of which takes ranges of the records."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import bicerin
from bicerin.cli.progress import counted
from bicerin.errors import DataError
from bicerin.net import Net
from bicerin.parallel.team import Team
from bicerin.solver.outcome import goes_on
from bicerin_data.extraction_parts import ExtractionParts, write_pass
from bicerin_data.feature_store import feature_store
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_proto import atomic_write
from bicerin_proto.atomic import remove_leftovers
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.data")

#: About how many records a range has: what is computed again, at most, by each rank that was killed.
_RANGE = 1000


class Extraction:
    """What is taken out of a net, and where it goes.

    Args:
        net: in the phase TEST.
        blobs: their names.
        outputs: a path for each.
        backends: of each output, one of `feature_store.BACKENDS`.
        batches: how many passes; None for all records once.
        keep_keys: whether features have the keys of their records; otherwise they are numbered.

    Raises:
        DataError: nothing tells how many records there are, or which keys they have.
    """

    def __init__(
        self,
        net: Net,
        blobs: Sequence[str],
        outputs: Sequence[Path],
        backends: Sequence[str],
        batches: int | None,
        keep_keys: bool,
    ) -> None:
        self._net = net
        self._blobs = list(blobs)
        self._outputs = list(outputs)
        self._backends = list(backends)
        self._keep_keys = keep_keys
        self._batch_size = 0
        self._keys: Sequence[bytes] = ()
        #: The layers that read records, and the keys of each.
        self._readers: list[tuple[PrefetchingLayer, Sequence[bytes]]] = []
        #: The batch that the next pass reads.
        self._next = 0
        if keep_keys or batches is None:
            self._read_keys()
        whole = -(-len(self._keys) // self._batch_size) if self._batch_size else 0
        self._batches = whole if batches is None else batches
        #: How many rows there are to be, of what has one for each record.
        self._limit = len(self._keys) if batches is None or keep_keys else None
        if keep_keys and self._batches > whole:
            raise DataError(
                f"{self._batches} batches of {self._batch_size} are more than the {len(self._keys)} records: keys "
                f"would come twice. {whole} batches, or none stated, are all records once."
            )

    def _read_keys(self) -> None:
        layers = [node.layer for node in self._net.nodes if isinstance(node.layer, PrefetchingLayer)]
        if not layers:
            raise DataError("the net has no layer that reads records, such as Data or ImageData: state BATCHES.")
        self._readers = [(layer, layer.keys()) for layer in layers]
        (first, self._keys), self._batch_size = self._readers[0], layers[0].batch_size
        for layer, keys in self._readers[1:]:
            if (len(keys), layer.batch_size) != (len(self._keys), self._batch_size):
                raise DataError(
                    f'the layers "{printable(first.name)}" and "{printable(layer.name)}" do not go through as many '
                    f"records in step: {len(self._keys)} in batches of {self._batch_size}, and {len(keys)} in "
                    f"batches of {layer.batch_size}."
                )

    # The features

    def _rows(self) -> list[np.ndarray]:
        """Run a pass: each blob's rows, with four axes for stores of Datum records."""
        self._net.forward()
        found = []
        for name, backend in zip(self._blobs, self._backends, strict=True):
            blob = self._net.blobs[name]
            array = blob.read_only.data
            if backend in ("lmdb", "leveldb"):
                array = array.reshape(blob.num, blob.channels, blob.height, blob.width)
            if self._limit is not None and len(array) != self._batch_size:
                raise DataError(
                    f'the blob "{printable(name)}" has {len(array)} rows for a batch of {self._batch_size} records, '
                    "and not one for each: state BATCHES, and let rows be numbered."
                )
            found.append(array)
        return found

    @contextlib.contextmanager
    def _stores(self) -> Iterator[_Stores]:
        length = max(map(len, self._keys), default=0) if self._keep_keys else None
        with contextlib.ExitStack() as stack:
            puts = [
                stack.enter_context(feature_store(path, backend, name, length))
                for name, path, backend in zip(self._blobs, self._outputs, self._backends, strict=True)
            ]
            yield _Stores(puts, self._keys if self._keep_keys else None, self._limit)

    def alone(self) -> list[int]:
        """Extract by this process alone; the number of rows of each output."""
        with self._stores() as stores:
            for _ in counted(range(self._batches), "extracting"):
                stores.put(self._rows())
        return stores.counts

    # By ranks

    def divided(self, team: Team, given: dict[str, Any]) -> list[int]:
        """Extract by several ranks; the number of rows of each output, on rank 0.

        What is computed lies in a folder beside the first output, `<name>.parts`, a file for each range, until all is:
        what was interrupted goes on there.

        Args:
            given: facts about the command, as JSON values, which have to be equal on all ranks.

        Raises:
            DataError: a pass depends on those before it; the ranks were given different things; or what lies there
                is of another extraction.
        """
        self._check_divisible()
        if not self._keys:
            self._read_keys()
        size = max(1, _RANGE // self._batch_size)
        ranges = [range(begin, min(begin + size, self._batches)) for begin in range(0, self._batches, size)]
        facts = {
            **given,
            "the version of bicerin": bicerin.__version__,
            "the blobs": ", ".join(self._blobs),
            "the outputs": ", ".join(map(str, self._outputs)),
            "the kinds of the outputs": ", ".join(self._backends),
            "the number of batches": str(self._batches),
            "the batch size": str(self._batch_size),
            "the keys": f"{len(self._keys)} ({_digest(self._keys)})",
            "whether keys are kept": str(self._keep_keys),
        }
        parts = ExtractionParts(self._outputs[0].with_name(f"{self._outputs[0].name}.parts"), len(self._blobs))
        _check_same(team, facts)
        if team.rank == 0:
            self._check_outputs()
            parts.open(facts)
            # Of an extraction that was killed while it brought the parts together.
            for path in (*self._outputs, parts.folder):
                remove_leftovers(path.parent, path.name, whole=True)
        said = json.dumps(parts.missing(len(ranges))).encode() if team.rank == 0 else b""
        missing = json.loads(team.share(said))
        if team.rank == 0 and len(missing) < len(ranges):
            _log.info("%d of %d ranges are there already", len(ranges) - len(missing), len(ranges))
        mine = [int(number) for number in np.array_split(np.array(missing, np.int64), team.size)[team.rank]]
        for number in mine if team.rank else counted(mine, "extracting"):
            self._extract_range(ranges[number], parts.path(number))
        team.all_gather(b"")  # all ranges are there
        counts = []
        if team.rank == 0:
            with self._stores() as stores:
                for number in range(len(ranges)):
                    for rows in parts.read(number):
                        stores.put(rows)
            counts = stores.counts
            parts.remove()
        team.all_gather(b"")  # none ends before the outputs are there
        return counts

    def _check_divisible(self) -> None:
        if goes_on(self._net):
            raise DataError("ranks cannot divide this net's passes: one goes on where the one before it has ended.")
        for node in self._net.nodes:
            if not node.bottom and node.layer.state() and not isinstance(node.layer, PrefetchingLayer):
                raise DataError(
                    f'layer "{printable(node.name)}" ({node.type}) cannot begin at a given record, as Data and '
                    "ImageData can: ranks cannot divide what it reads."
                )

    def _check_outputs(self) -> None:
        for path, backend in zip(self._outputs, self._backends, strict=True):
            if backend in ("lmdb", "leveldb") and path.exists():
                raise DataError(f"{printable(path)} exists already.", "Remove it, or choose another name.")

    def _extract_range(self, batches: range, path: Path) -> None:
        if batches.start != self._next:
            for layer, keys in self._readers:
                layer.begin_at(batches.start, keys)
        with atomic_write(path) as file:
            for _ in batches:
                write_pass(file, self._rows())
        self._next = batches.stop


class _Stores:
    """The outputs, filled in step.

    Attributes:
        counts: of the rows of each.
    """

    def __init__(self, puts: Sequence[Any], keys: Sequence[bytes] | None, limit: int | None) -> None:
        self._puts = puts
        self._keys = keys
        self._limit = limit
        self.counts = [0] * len(puts)

    def put(self, rows: Sequence[np.ndarray]) -> None:
        for index, (put, array) in enumerate(zip(self._puts, rows, strict=True)):
            begin = self.counts[index]
            if self._limit is not None:
                array = array[: self._limit - begin]
            put(array, None if self._keys is None else self._keys[begin : begin + len(array)])
            self.counts[index] += len(array)


def _digest(keys: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for key in keys:
        digest.update(len(key).to_bytes(8, "little") + key)
    return digest.hexdigest()[:16]


def _check_same(team: Team, facts: dict[str, str]) -> None:
    """Raise the same error on all ranks where one was given something else."""
    everyones = [json.loads(one) for one in team.all_gather(json.dumps(facts).encode())]
    for rank, theirs in enumerate(everyones):
        for name, value in everyones[0].items():
            if theirs.get(name) != value:
                there, here = printable(str(theirs.get(name)), 100), printable(value, 100)
                raise DataError(
                    f"rank {rank} does not extract what rank 0 does: {name} is {there} there, and {here} on rank 0."
                )
