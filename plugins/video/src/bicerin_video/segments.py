"""The reader of temporal segments: a few frames from each part of a video, which become channels of one image.

Source: the VideoDataLayer of Y. Xiong's Caffe, branch action_recog.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.layer import Layer, Phase
from bicerin_data.list_reader import ListReader, Turn
from bicerin_data.transformer import Transformer
from bicerin_proto import printable
from bicerin_video.frames import check_pattern, read_frames
from bicerin_video.video_list import Video, read_video_list

#: What the reader's generators are for, besides those of `ListReader`.
_FIRST_FRAMES = 3


def channels(param: Any) -> int:
    """How many there are, of a `VideoDataParameter`: segments, of frames, of colours or of x and y."""
    of_frame = 2 if param.modality == param.FLOW else 1 if param.grayscale else 3
    return int(param.num_segments * param.new_length * of_frame)


class SegmentReader(ListReader[Video]):
    """Reads folders of frames, of which the list says how many they have.

    The first frame of a segment of L frames, of which n are taken, is at TEST in the middle, at TRAIN at random, and
    its first one where L < n; then at TEST it is the video's first one.
    """

    noun = "videos"

    def __init__(self, layer: Layer, transformer: Transformer) -> None:
        param = self._param = layer.param.video_data_param
        self._resolve = layer.context.resolve
        self._train = layer.phase is Phase.TRAIN
        self._flow = param.modality == param.FLOW
        self._pattern = check_pattern(
            param.name_pattern or ("flow_%c_%04d.jpg" if self._flow else "image_%04d.jpg"), letter=self._flow
        )
        source = self._resolve(param.source)
        super().__init__(
            layer,
            param.batch_size,
            transformer,
            read_video_list(source, numbered=True, several=False),
            str(source),
            shuffle=param.shuffle,
            rand_skip=param.rand_skip,
        )

    def decode(self, record: Turn) -> tuple[np.ndarray, int]:
        param, video = self._param, record.entry
        folder = self._resolve(video.path)
        letters: tuple[tuple[str, ...], ...] = (("x",), ("y",)) if self._flow else ((),)
        numbers = [first + frame for first in self._first_frames(record) for frame in range(1, param.new_length + 1)]
        paths = [folder / (self._pattern % (*letter, number)) for number in numbers for letter in letters]
        color = not self._flow and not param.grayscale
        frames = read_frames(paths, color, param.new_height, param.new_width)
        return frames.reshape(-1, *frames.shape[2:]), video.labels[0]

    def _first_frames(self, record: Turn) -> list[int]:
        """How many frames of the video there are before those that are taken, of each segment."""
        param, frames = self._param, record.entry.number
        length = frames // param.num_segments
        spare = length - param.new_length
        if spare < 0:
            return [segment * length if self._train else 0 for segment in range(param.num_segments)]
        if self._train:
            random = self.random(_FIRST_FRAMES, record.epoch, record.line)
            drawn = random.integers(spare + 1, size=param.num_segments).tolist()
        else:
            drawn = [(spare + 1) // 2] * param.num_segments
        return [segment * length + first for segment, first in enumerate(drawn)]

    def name_of(self, record: Turn) -> str:
        return f'source {printable(self.source)}, video "{printable(record.entry.path)}"'

    def key(self, entry: Video) -> bytes:
        return entry.path.encode("utf-8", "surrogateescape")


def check_segments(param: Any) -> None:
    """Raise a `DataError` for options of a `VideoDataParameter` that the reader does not know, or that cannot be."""
    if param.num_segments < 1 or param.new_length < 1:
        raise DataError("num_segments and new_length must be at least 1.")
    for name in ("length_first", "step", "rand_step"):
        if getattr(param, name) != param.DESCRIPTOR.fields_by_name[name].default_value:
            raise DataError(
                f"video_data_param: {name} is of the branch 3D of Y. Xiong's Caffe, which is not read here."
            )
    if param.encoded and (param.new_height or param.new_width):
        raise DataError("video_data_param: encoded frames are not resized; leave out new_height and new_width.")
