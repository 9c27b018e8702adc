"""VideoData: batches of videos, in the way of the fork whose fields `video_data_param` has.

    num_segments, modality, name_pattern, ...          frames of segments, as channels: `segments` (Y. Xiong)
    use_image, sampling_rate, use_temporal_jitter, ... clips with an axis of frames: `clips` (C3D)
    no fields but those that all have                  the same (video-caffe)
    video_type, device_id, video_file                  a camera, or the frames of a film: `capture` (SSD)

A net of C3D 1.0 has C3D's fields in `image_data_param`.

Source: the VideoDataLayers of these forks. What differs: the labels have the shape (N,).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bicerin.errors import DataError
from bicerin.layer import Blob, HasExample
from bicerin.layer.data_file import read_blob
from bicerin_data.batch_reader import BatchReader
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.transformer import Transformer
from bicerin_proto import printable
from bicerin_video.capture import CaptureReader, frame_transformer
from bicerin_video.clips import C3D_FIELDS, ClipReader, check_clips
from bicerin_video.segments import SegmentReader, channels, check_segments

_log = logging.getLogger("bicerin.video")

#: The fields that only one way has.
_WAYS = {
    "segments": {
        "num_segments", "modality", "name_pattern", "encoded", "grayscale", "length_first", "step", "rand_step",
    },
    "clips": {*C3D_FIELDS, "is_color", "root_folder"},
    "capture": {"video_type", "device_id", "video_file", "skip_frames"},
}  # fmt: skip
#: Fields that no fork reads where there is a transform_param.
_OLD = ("scale", "mean_file", "crop_size", "mirror")


class VideoDataLayer(HasExample, PrefetchingLayer):
    """Top 0: segments `(N, C, H, W)`, clips `(N, C, L, H, W)` or frames `(N, C, H, W)`, blue first, transformed as
    `transform_param` says, all frames of a video in the same way. Its mean_values are repeated over the frames. Top 1,
    if wanted: labels `(N,)`, or of clips with `use_multiple_label` `(N, num_of_labels)`, zeros and ones.

    The file `source` has a line "path number label" for each video.
    """

    type = "VideoData"
    example = """
        layer {
          name: "data" type: "VideoData" top: "data" top: "label"
          transform_param { mean_value: 104 mean_value: 117 mean_value: 123 mirror: true crop_size: 224 }
          video_data_param {
            source: "train.txt" modality: RGB name_pattern: "image_%04d.png" num_segments: 3
            new_height: 256 new_width: 340 batch_size: 8 shuffle: true
          }
        }
        """

    def open_reader(self) -> BatchReader:
        way, param = self._way()
        if way == "capture":
            return CaptureReader(self, frame_transformer(self))
        if not param.source:
            raise DataError("video_data_param names no source.")
        if (param.new_height == 0) != (param.new_width == 0):
            raise DataError(
                "Current implementation requires new_height and new_width to be set at the same time: "
                f"they are {param.new_height} and {param.new_width}."
            )
        if way == "segments":
            check_segments(param)
            return SegmentReader(self, self._of_frames(self.param.transform_param, channels(param)))
        check_clips(param)
        if param.show_data:
            _log.warning('layer "%s": show_data is not done here: no windows are opened.', printable(self.name))
        return ClipReader(self, param, self._of_clips(param))

    def _way(self) -> tuple[str, Any]:
        """One of `_WAYS`, and the `VideoDataParameter`.

        Raises:
            DataError: it has fields of several forks, or fields that no fork reads.
        """
        if self.param.HasField("image_data_param"):
            return "clips", self._of_c3d_1_0()
        param = self.param.video_data_param
        given = {field.name for field, _ in param.ListFields()}
        for name in _OLD:
            if name in given:
                raise DataError(f"video_data_param: no fork reads {name} there; give it in transform_param.")
        said = {way: sorted(given & names) for way, names in _WAYS.items() if given & names}
        if len(said) > 1:
            (one, ours), (other, theirs), *_ = said.items()
            raise DataError(
                f"video_data_param has fields of several forks: {ours[0]} is of {one}, {theirs[0]} of {other}."
            )
        return next(iter(said), "clips"), param

    def _of_c3d_1_0(self) -> Any:
        """The parameters of a net of C3D 1.0, those of the transformation put where they are read."""
        if self.param.HasField("video_data_param"):
            raise DataError("give video_data_param, or as in C3D 1.0 image_data_param; not both.")
        old, transform = self.param.image_data_param, self.param.transform_param
        param = type(self.param.video_data_param)(use_image=old.use_image)
        for field, value in old.ListFields():
            if field.name in (*_OLD, "mean_value"):
                if field.name == "mean_value":
                    del transform.mean_value[:]
                    transform.mean_value.append(value)
                else:
                    setattr(transform, field.name, value)
            elif field.name in param.DESCRIPTOR.fields_by_name:
                setattr(param, field.name, bool(value) if field.name == "show_data" else value)
        return param

    def _of_frames(self, transform: Any, number: int) -> Transformer:
        """The transformation of images of so many channels: those of one frame, over and over."""
        own = type(transform)()
        own.CopyFrom(transform)
        values = list(own.mean_value)
        if len(values) > 1 and number % len(values) == 0:
            del own.mean_value[:]
            own.mean_value.extend(values * (number // len(values)))
        return Transformer(own, self.phase, self.dtype, self.context.resolve)

    def _of_clips(self, param: Any) -> Transformer:
        """The transformation of images `(C * L, H, W)`. A mean is of one frame, or of all."""
        own = type(self.param.transform_param)()
        own.CopyFrom(self.param.transform_param)
        colours, length = 3 if param.is_color else 1, param.new_length
        values = list(own.mean_value)
        if len(values) == colours:
            del own.mean_value[:]
            own.mean_value.extend(value for value in values for _ in range(length))
        if not own.HasField("mean_file"):
            return Transformer(own, self.phase, self.dtype, self.context.resolve)
        if values:
            raise DataError("Cannot specify mean_file and mean_value at the same time.")
        path = self.context.resolve(own.mean_file)
        mean = read_blob(path, "mean_file")
        own.ClearField("mean_file")
        transformer = Transformer(own, self.phase, self.dtype, self.context.resolve)
        if mean.shape[:-2] not in ((1, colours, length), (1, colours), (colours,)):
            raise DataError(
                f"mean_file {printable(path)}: a clip (1, {colours}, {length}, H, W) or a frame (1, {colours}, H, W) "
                f"is expected, not the shape {mean.shape}."
            )
        whole = mean if mean.ndim == 5 else mean.reshape(1, colours, 1, *mean.shape[-2:]).repeat(length, axis=2)
        transformer.mean = whole.reshape(-1, *mean.shape[-2:]).astype(self.dtype)
        return transformer

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        param = self.param.video_data_param
        if len(top) > 1 and param.use_multiple_label:
            top[1].reshape(self.batch_size, param.num_of_labels)

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int | None, ...]]:
        way, param = self._way()
        transform = self.param.transform_param
        crop = transform.crop_size
        if way == "capture":
            resize = next(iter(getattr(transform, "resize_param", ())), None)
            sides = (crop or getattr(resize, "height", 0) or None, crop or getattr(resize, "width", 0) or None)
            return [(self.param.data_param.batch_size, 3, *sides), (self.param.data_param.batch_size,)][:tops]
        sides = (crop or param.new_height or None, crop or param.new_width or None)
        image = (channels(param),) if way == "segments" else (3 if param.is_color else 1, param.new_length)
        label = (param.batch_size, param.num_of_labels) if param.use_multiple_label else (param.batch_size,)
        return [(param.batch_size, *image, *sides), label][:tops]
