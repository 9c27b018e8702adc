"""The reader of clips: so many frames of a video, or every n-th one, with an axis of their own.

Two forks read them. C3D's lists say whether a clip begins at a given frame or anywhere, and of what folders of frames
and films; frames of a folder are 000001.jpg, ..., frames of a film are counted from 0. video-caffe's lists hold folders
and films; frames are image_0001.jpg, ..., and counted from 1 in films too.

Source: the VideoDataLayers of C3D and of video-caffe. What differs: with `use_sampling_rate_jitter` no rate is drawn
with which a video of known length would be too short; C3D passes such a clip by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Layer, Phase
from bicerin_data.batch_reader import Batch
from bicerin_data.list_reader import ListReader, Turn
from bicerin_data.transformer import Transformer
from bicerin_proto import printable
from bicerin_video.film import frame_count, open_film, read_film
from bicerin_video.frames import read_frames, stacked
from bicerin_video.video_list import Video, read_video_list

#: What the reader's generators are for, besides those of `ListReader`.
_FRAMES = 4
#: Fields of a `VideoDataParameter` that only C3D has.
C3D_FIELDS = (
    "show_data", "use_image", "use_temporal_jitter", "sampling_rate", "max_sampling_rate", "use_sampling_rate_jitter",
    "use_multiple_label", "num_of_labels",
)  # fmt: skip


def check_clips(param: Any) -> None:
    """Raise a `DataError` for options of a `VideoDataParameter` that cannot be."""
    if param.new_length < 1:
        raise DataError("new length need to be positive")
    if min(param.sampling_rate, param.max_sampling_rate) < 1:
        raise DataError("sampling_rate and max_sampling_rate must be at least 1.")
    if param.use_multiple_label and not param.HasField("num_of_labels"):
        raise DataError("number of labels must be set together with use multiple labels")


class ClipReader(ListReader[Video]):
    """Reads clips, and gives batches `(N, C, L, H, W)`.

    Args:
        param: a `VideoDataParameter`.
    """

    noun = "videos"

    def __init__(self, layer: Layer, param: Any, transformer: Transformer) -> None:
        self._param = param
        self._resolve = layer.context.resolve
        self._train = layer.phase is Phase.TRAIN
        self._of_c3d = any(param.HasField(name) for name in C3D_FIELDS)
        #: Of a film of which all clips may be taken, the list says nothing.
        self._jitter: bool = param.use_temporal_jitter
        source = self._resolve(param.source)
        videos = read_video_list(source, numbered=not self._jitter or param.use_image, several=param.use_multiple_label)
        super().__init__(
            layer, param.batch_size, transformer, videos, str(source), shuffle=param.shuffle, rand_skip=param.rand_skip
        )
        #: With several labels, the row of each set of them; a label is then a row's number until its batch is complete.
        self._sets = {video.labels: place for place, video in enumerate(videos)} if param.use_multiple_label else {}
        self._rows = self._label_rows() if param.use_multiple_label else None
        self._channels = 3 if param.is_color else 1

    def _label_rows(self) -> np.ndarray:
        number = self._param.num_of_labels
        rows = np.zeros((len(self.entries), number), self.dtype)
        for row, video in zip(rows, self.entries, strict=True):
            if not all(0 <= label < number for label in video.labels):
                raise DataError(f"source {self.source}: of num_of_labels {number} labels, {video.labels} are not all.")
            row[list(video.labels)] = 1
        return rows

    def first_shape(self) -> tuple[int, ...]:
        return self._clip_shape(super().first_shape())

    def _clip_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """`(C, L, h, w)` of `(C * L, h, w)`."""
        return (self._channels, self._param.new_length, *shape[1:])

    def read(self, recycled: Batch | None) -> Batch:
        batch = super().read(recycled)
        batch.data = batch.data.reshape(self.batch_size, *self._clip_shape(batch.data.shape[1:]))
        if self._rows is not None:
            batch.label = self._rows[batch.label.astype(np.int64)]
        return batch

    def decode(self, record: Turn) -> tuple[np.ndarray, int]:
        video = record.entry
        path = self._resolve(self._param.root_folder + video.path)
        in_folder = self._param.use_image if self._of_c3d else path.is_dir()
        frames = self._of_folder(path, record) if in_folder else self._of_film(path, record)
        clip = np.ascontiguousarray(frames.swapaxes(0, 1))
        label = video.labels[0] if self._rows is None else self._sets[video.labels]
        return clip.reshape(-1, *clip.shape[2:]), label

    def _of_folder(self, folder: Path, record: Turn) -> np.ndarray:
        param, number = self._param, record.entry.number
        if self._jitter:
            rate, spare = self._rate(record, number)
            # C3D begins with frame 0 at TEST, although it counts from 1 at TRAIN.
            first = 1 + self._drawn(record, spare) if self._train else 0
        else:
            rate, first = self._rate(record, None)[0], number
        pattern = "%06d.jpg" if self._of_c3d else "image_%04d.jpg"
        paths = [folder / (pattern % frame) for frame in self._numbers(first, rate)]
        return read_frames(paths, param.is_color, param.new_height, param.new_width)

    def _of_film(self, path: Path, record: Turn) -> np.ndarray:
        param = self._param
        film = open_film(path)
        frames = frame_count(film)
        if frames is None and self._jitter:
            raise DataError("it does not say how many frames it has, of which a clip would begin anywhere.")
        rate, spare = self._rate(record, frames)
        if self._jitter:
            first = self._drawn(record, spare)
        else:
            first = record.entry.number if self._of_c3d else max(record.entry.number - 1, 0)
        numbers = self._numbers(first, rate)
        return stacked(read_film(film, path, numbers, param.is_color, param.new_height, param.new_width))

    def _numbers(self, first: int, rate: int) -> range:
        return range(first, first + self._param.new_length * rate, rate)

    def _rate(self, record: Turn, frames: int | None) -> tuple[int, int]:
        """Every how manieth frame of a video is taken, and how many of its frames, if that is known, are not needed."""
        param = self._param
        rate: int = param.sampling_rate
        if param.use_sampling_rate_jitter:
            most = (
                param.max_sampling_rate if frames is None else min(param.max_sampling_rate, frames // param.new_length)
            )
            rate = 1 + int(self.random(_FRAMES, record.epoch, record.line, 1).integers(max(most, 1)))
        spare = 0 if frames is None else frames - param.new_length * rate
        if spare < 0:
            raise DataError(f"not enough frames; having {frames}, of {param.new_length * rate}.")
        return rate, spare

    def _drawn(self, record: Turn, spare: int) -> int:
        return int(self.random(_FRAMES, record.epoch, record.line, 0).integers(spare + 1))

    def name_of(self, record: Turn) -> str:
        return f'source {printable(self.source)}, video "{printable(record.entry.path)}"'

    def key(self, entry: Video) -> bytes:
        return f"{entry.path} {entry.number}".encode("utf-8", "surrogateescape")
