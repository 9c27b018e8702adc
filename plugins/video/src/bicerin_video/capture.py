"""The reader of a camera or of one film, whose frames come one after the other.

Source: the VideoDataLayer of SSD's Caffe. What differs: after the last frame of a film the first comes again; SSD's
program ends there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError, MissingDataError
from bicerin.layer import Layer
from bicerin_data.batch_reader import RecordReader
from bicerin_data.image import opencv
from bicerin_data.transformer import Transformer
from bicerin_proto import printable
from bicerin_video.film import next_frame, open_film, seek

#: Fields of transform_param that SSD's Caffe has; `bicerin-ssd` brings them, and does what they say.
_OF_SSD = ("resize_param", "noise_param", "distort_param", "expand_param", "crop_h", "crop_w", "emit_constraint")


def frame_transformer(layer: Layer) -> Transformer:
    """What `transform_param` does to frames, with SSD's ways where it names one.

    Raises:
        DataError: the parameters contradict each other, or `bicerin-ssd` is needed and cannot be imported.
    """
    param, context = layer.param.transform_param, layer.context
    if not any(field.name in _OF_SSD for field, _ in param.ListFields()):
        return Transformer(param, layer.phase, layer.dtype, context.resolve)
    try:
        from bicerin_video.frame_transformer import FrameTransformer
    except ImportError as error:
        raise DataError(f"transform_param has fields of SSD's: {error}.", "pip install bicerin-ssd") from error
    return FrameTransformer(param, (), layer.phase, layer.dtype, context.resolve)


class CaptureReader(RecordReader):
    """Reads every frame, or with `skip_frames` n only each after n that are passed by; the labels are 0."""

    def __init__(self, layer: Layer, transformer: Transformer) -> None:
        super().__init__(layer, layer.param.data_param.batch_size, transformer)
        param = layer.param.video_data_param
        self._skipped: int = param.skip_frames
        #: How many frames of the film are behind the reader.
        self._frame = 0
        #: A frame that was read for its shape.
        self._seen: np.ndarray | None = None
        self._path: Path | None = None
        if param.video_type == param.VIDEO:
            if not param.HasField("video_file"):
                raise DataError("Must provide video file!", 'video_data_param { video_type: VIDEO video_file: "..." }')
            path = self._path = layer.context.resolve(param.video_file)
            self._capture = open_film(path)
            self.place = f"video_file {printable(path)}"
        else:
            self._capture = opencv().VideoCapture(param.device_id)
            self.place = f"camera {param.device_id}"
            if not self._capture.isOpened():
                raise MissingDataError(f"{self.place} cannot be opened.")

    def first_shape(self) -> tuple[int, ...]:
        self._seen = self._next()
        return self.transformer.output_shape(self._seen.shape)

    def next_image(self) -> tuple[np.ndarray, float, str]:
        image, self._seen = self._seen if self._seen is not None else self._next(), None
        return image, 0.0, self.place

    def _next(self) -> np.ndarray:
        for _ in range(self._skipped):
            self._capture.grab()
            self._frame += 1
        image = next_frame(self._capture)
        if image is None and self._path is not None and self._frame:
            self._capture, self._frame = open_film(self._path), 0
            return self._next()
        if image is None:
            raise DataError(f"{self.place}: it gives no frame.")
        self._frame += 1
        return image

    def position(self) -> dict[str, Any]:
        behind = self._frame - (self._skipped + 1 if self._seen is not None else 0)
        return {**super().position(), "frame": behind}

    def seek(self, position: Mapping[str, Any]) -> None:
        super().seek(position)
        self._seen = None
        if self._path is not None:
            self._frame = int(position["frame"])
            self._capture = seek(open_film(self._path), self._path, self._frame)
