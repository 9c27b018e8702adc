"""What layers that read batches ahead have in common: a reader, its thread, and exact resuming."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from bicerin.errors import DataError
from bicerin.layer import Blob, BlobCounts, Layer, TellsShapes, between
from bicerin_data.batch_reader import Batch, BatchReader
from bicerin_data.prefetch import Prefetcher
from bicerin_data.transformer import Transformer
from bicerin_proto import printable


class PrefetchingLayer(TellsShapes, Layer):
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
            reader = self._reader
            self._prefetcher = Prefetcher(
                reader.read, self.param.data_param.prefetch, lambda: reader.place, f'layer "{self.name}"'
            )
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

    @property
    def bad_records(self) -> int:
        """How many bad records were skipped on the way to the batches that the net has had."""
        return int(self._consumed["bad_records"])

    def state(self) -> Mapping[str, Any]:
        """Where the reader stood after the last batch that the net has had, whatever was read ahead."""
        return self._consumed

    def restore_state(self, state: Mapping[str, Any]) -> None:
        self.close()
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
