"""What layers that read batches ahead have in common: a reader, its thread, and exact resuming."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bicerin.errors import DataError
from bicerin.layer import Blob, BlobCounts, Layer, TakesTurns, TellsShapes, between
from bicerin_data.batch_reader import Batch, BatchReader
from bicerin_data.prefetch import Prefetcher
from bicerin_data.transformer import Transformer
from bicerin_data.turns import gaps
from bicerin_proto import printable


class PrefetchingLayer(TakesTurns, TellsShapes, Layer):
    """A layer whose tops, data and perhaps label, come from a `BatchReader` in a thread of its own.

    The thread starts with the first forward pass. Its `data_param.prefetch`, in every layer of this kind, says how many
    batches it reads ahead.
    """

    counts = BlobCounts(bottom=0, top=between(1, 2))
    runs_on = "host"

    @abstractmethod
    def open_reader(self) -> BatchReader:
        """Open what the layer's parameters name."""

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._prefetcher: Prefetcher[Batch] | None = None
        self._reader = self.open_reader()
        self._consumed: Mapping[str, Any] = self._reader.position()
        self._turns_left = 0
        top[0].reshape(self._reader.batch_size, *self._reader.first_shape())
        if len(top) > 1:
            top[1].reshape(self._reader.batch_size)

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int | None, ...]]:
        batch, image = self.batch_without_data()
        return [(batch, *(image or (None, None, None))), (batch,)][:tops]

    def batch_without_data(self) -> tuple[int, tuple[int, ...] | None]:
        """The batch size, and an image's shape where the parameters give its size; 3 channels unless they say."""
        transform = self.param.transform_param
        channels = 1 if transform.force_gray else len(transform.mean_value) if len(transform.mean_value) > 1 else 3
        crop = transform.crop_size
        return self.param.data_param.batch_size, (channels, crop, crop) if crop else None

    def transformer(self) -> Transformer:
        context = self.context
        return Transformer(self.param.transform_param, self.phase, self.dtype, context.resolve)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The shapes come with each batch."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._prefetcher is None:
            self._prefetcher = self._new_prefetcher(self._reader.read)
        batch = self._prefetcher.get()
        top[0].reshape(*batch.data.shape)
        if batch.memory is None:
            top[0].data[...] = batch.data
        else:
            batch.memory = top[0].memory[0].exchange(batch.memory)
        if len(top) > 1:
            top[1].reshape(*batch.label.shape)
            top[1].data[...] = batch.label
        self._consumed = batch.after
        self._prefetcher.recycle(batch)
        if self._turns_left:
            self._turns_left -= 1
            if not self._turns_left:
                self.close()
                self._reader.read_ahead(True)

    def _new_prefetcher(self, produce: Callable[[Batch | None], Batch], most: int | None = None) -> Prefetcher[Batch]:
        reader = self._reader
        name = f'layer "{self.name}"'
        return Prefetcher(produce, self.param.data_param.prefetch, lambda: reader.place, name, most)

    def take_turns(self, turns: range, passes: int) -> None:
        self.restore_state(self._consumed)
        if not turns:
            self._reader.pass_by(passes)
            self._consumed = self._reader.position()
            return
        self._turns_left = len(turns)
        self._reader.read_ahead(False)
        self._prefetcher = self._new_prefetcher(_Turns(self._reader, turns, passes), len(turns))

    @property
    def bad_records(self) -> int:
        """How many bad records were skipped on the way to the batches that the net has had."""
        return int(self._consumed["bad_records"])

    def state(self) -> Mapping[str, Any]:
        """Where the reader stood after the last batch that the net has had, whatever was read ahead."""
        return self._consumed

    def restore_state(self, state: Mapping[str, Any]) -> None:
        self.close()
        self._turns_left = 0
        self._reader.read_ahead(True)
        self._reader.seek(state)
        self._consumed = self._reader.position()

    @property
    def batch_size(self) -> int:
        return self._reader.batch_size

    def keys(self) -> Sequence[bytes]:
        """The key of each record, in the order in which they are read, over and over.

        Raises:
            DataError: there are none, or their order is another each time.
        """
        try:
            return self._reader.keys()
        except DataError as error:
            raise DataError(f'layer "{printable(self.name)}" ({self.type}): {error}') from None

    def begin_at(self, batch: int, keys: Sequence[bytes]) -> None:
        """Let the next forward pass read this batch, counted from 0; `keys` are the layer's own."""
        self.restore_state(self._reader.place_after(batch, keys))

    def close(self) -> None:
        """End the thread. The next forward pass would start another, after the batches that were read ahead."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None


class _Turns:
    """Reads the batches of a rank's turns, and passes by the others'.

    What comes before the last of them leaves the position what it was: turns that are not over begin again.
    """

    def __init__(self, reader: BatchReader, turns: range, passes: int) -> None:
        self._reader = reader
        self._begin = reader.position()
        self._gaps = deque(gaps(turns, passes))

    def __call__(self, recycled: Batch | None) -> Batch:
        self._reader.pass_by(self._gaps.popleft())
        batch = self._reader.read(recycled)
        batch.after = self._begin
        if len(self._gaps) == 1:
            self._reader.pass_by(self._gaps.popleft())
            batch.after = self._reader.position()
        return batch
