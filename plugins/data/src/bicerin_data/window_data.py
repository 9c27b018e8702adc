"""WindowData: windows of images, sampled for R-CNN.

Source: Caffe's `WindowDataLayer`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.kernels import num_threads
from bicerin.layer import BlobCounts, HasExample, Layer
from bicerin.layer.data_file import read_data
from bicerin_data.batch_reader import Batch, BatchReader
from bicerin_data.decoding_threads import Task, start
from bicerin_data.image import decode_image, read_image
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.transformer import Transformer
from bicerin_data.window_crop import warp_window
from bicerin_data.window_file import IMAGE, LABEL, X1, WindowFile, read_window_file

_log = logging.getLogger("bicerin.data")


class WindowDataLayer(HasExample, PrefetchingLayer):
    """Top 0: windows warped to (N, 3, crop_size, crop_size), blue first, minus the mean. Top 1: their classes (N,).

    A batch has floor(N * fg_fraction) windows from the foreground after those from the background, whose class is 0.
    What lies outside of an image is 0. `window_data_param.scale` scales, and `transform_param.scale` does not, as in
    Caffe; crop_size, mirror and the mean are those of `transform_param`.
    """

    type = "WindowData"
    example = """
        layer {
          name: "data" type: "WindowData" top: "data" top: "label"
          transform_param { mean_value: 104 mean_value: 117 mean_value: 123 mirror: true crop_size: 227 }
          window_data_param {
            source: "windows.txt" batch_size: 128 fg_threshold: 0.5 bg_threshold: 0.5 context_pad: 16
          }
        }
        """
    counts = BlobCounts(bottom=0, top=2)

    def open_reader(self) -> BatchReader:
        param = self.param.window_data_param
        crop_size = self.param.transform_param.crop_size
        if not crop_size:
            raise DataError("transform_param must give a crop_size greater than 0.")
        if crop_size <= 2 * param.context_pad:
            raise DataError(f"crop_size {crop_size} leaves nothing between two paddings of {param.context_pad}.")
        if self.transformer().augmentation is not None:
            raise DataError("transform_param: WindowData resizes its windows, and nothing before that.")
        if self.param.transform_param.scale != 1:
            _log.warning(
                'layer "%s": WindowData scales with window_data_param.scale, not with transform_param.scale.', self.name
            )
        windows = read_window_file(self.context.resolve(param.source), param.fg_threshold, param.bg_threshold)
        return _WindowReader(self, windows, self.transformer())

    def batch_without_data(self) -> tuple[int, tuple[int, ...] | None]:
        crop = self.param.transform_param.crop_size
        return self.param.window_data_param.batch_size, (3, crop, crop)


class _WindowReader(BatchReader):
    def __init__(self, layer: Layer, windows: WindowFile, transformer: Transformer) -> None:
        param = layer.param.window_data_param
        super().__init__(layer, param.batch_size, transformer)
        if windows.channels != 3:
            raise DataError(
                f"window file {param.source}: images are read in color, but it says {windows.channels} channels."
            )
        #: How many windows of a batch are foreground; they follow those of the background.
        self._foreground = int(np.float32(self.batch_size) * np.float32(param.fg_fraction))
        for kind, chosen, number in (
            ("foreground", windows.foreground, self._foreground),
            ("background", windows.background, self.batch_size - self._foreground),
        ):
            if number > 0 and not len(chosen):
                raise DataError(
                    f"window file {param.source}: no window is {kind}, but each batch needs {number}.",
                    "See fg_threshold, bg_threshold and fg_fraction.",
                )
        self._param = param
        self._windows = windows
        self.bad.records = len(windows.foreground) + len(windows.background)
        self._scale = self.dtype.type(param.scale)
        self._crop_size: int = transformer.crop_size
        self._mean = self._mean_of(transformer)
        paths = [layer.context.resolve(param.root_folder + name) for name in windows.images]
        self._files: list[bytes] | list[Path] = (
            [read_data(path, "Could not open or find file") for path in paths] if param.cache_images else paths
        )

    def _mean_of(self, transformer: Transformer) -> np.ndarray | None:
        """The mean's centre (3, crop_size, crop_size), or one number for each channel; None for none."""
        crop = self._crop_size
        mean = transformer.mean
        if mean is not None:
            channels, height, width = mean.shape
            offset = (width - crop) // 2
            if channels != 3 or offset < 0 or offset + crop > height:
                raise DataError(f"the mean of mean_file has the shape {mean.shape}: too small for crop_size {crop}.")
            return mean[:, offset : offset + crop, offset : offset + crop]
        values = transformer.mean_values
        if values.size not in (0, 1, 3):
            raise DataError(f"Specify either 1 mean_value or as many as channels: 3; there are {values.size}.")
        return np.broadcast_to(values[:, None, None], (3, crop, crop)) if values.size else None

    def first_shape(self) -> tuple[int, ...]:
        return (3, self._crop_size, self._crop_size)

    def read(self, recycled: Batch | None) -> Batch:
        data = recycled.data if recycled else np.empty((self.batch_size, *self.first_shape()), self.dtype)
        label = np.empty(self.batch_size, self.dtype)
        random = self.random(0, self.number)
        filled = 0
        while filled < self.batch_size:
            data[filled:] = 0
            filled = self._fill(filled, random, data, label)
        self.number += 1
        return Batch(data, label, self.position())

    def pass_by(self, batches: int) -> None:
        if self.bad.skipped:
            super().pass_by(batches)
        else:
            self.number += batches

    def _fill(self, filled: int, random: np.random.Generator, data: np.ndarray, label: np.ndarray) -> int:
        """Sample the windows that a batch still needs, as if all were good; return how many it has then.

        What is drawn after a window that is not good depends on it, so that the rest is in vain.
        """
        samples = [self._sample(item, random, data[item]) for item in range(filled, self.batch_size)]
        together = num_threads() > 1
        if together:
            for sample in samples:
                start(sample)
        try:
            for sample in samples:
                self.place = self._place_of(sample)
                if not together:
                    sample.run()
                sample.wait()
                if isinstance(sample.error, DataError):
                    self.bad.refuse(self.place, sample.error)
                    random.bit_generator.state = sample.after
                    if together:
                        for other in samples:
                            other.drop()
                        for other in samples:
                            other.wait()
                    break
                if sample.error is not None:
                    raise sample.error
                label[filled] = sample.window[LABEL]
                filled += 1
                self.bad.good()
        except BaseException:
            # Nobody waits for what is at work, which may be what hangs; it keeps the memory that it writes to.
            for sample in samples:
                sample.drop()
            raise
        return filled

    def _sample(self, item: int, random: np.random.Generator, out: np.ndarray) -> _Sample:
        """Draw a window for a place in the batch."""
        foreground = item >= self.batch_size - self._foreground
        windows = self._windows.foreground if foreground else self._windows.background
        window = windows[random.integers(len(windows))].tolist()
        mirror = bool(self.transformer.mirror and random.integers(2))
        return _Sample(self, window, mirror, out, random.bit_generator.state if self.bad.skipped else None)

    def _place_of(self, sample: _Sample) -> str:
        return f'window file {self._param.source}, image "{self._windows.images[sample.window[IMAGE]]}"'

    def put(self, window: list[int], mirror: bool, out: np.ndarray) -> None:
        """Write a window to `out`, which is all zeros, shape (3, crop_size, crop_size); in several threads at once.

        Raises:
            DataError: its image cannot be read.
        """
        patch, top, left = self._warp(window, mirror)
        _, height, width = patch.shape
        area = (slice(None), slice(top, top + height), slice(left, left + width))
        if self._mean is None:
            np.multiply(patch, self._scale, out=out[area], dtype=self.dtype)
        else:
            np.subtract(patch, self._mean[area], out=out[area], dtype=self.dtype)
            out[area] *= self._scale

    def _warp(self, window: list[int], mirror: bool) -> tuple[np.ndarray, int, int]:
        file: Any = self._files[window[IMAGE]]
        image = decode_image(file, color=True) if isinstance(file, bytes) else read_image(str(file))
        corners = (window[X1], window[X1 + 1], window[X1 + 2], window[X1 + 3])
        param = self._param
        square = param.crop_mode == "square"
        return warp_window(image, corners, self._crop_size, param.context_pad, square, mirror, self.dtype)


class _Sample(Task):
    """A window that was drawn, for a place in a batch; `after` is the state of the generator then."""

    __slots__ = ("_mirror", "_out", "_reader", "after", "window")

    def __init__(self, reader: _WindowReader, window: list[int], mirror: bool, out: np.ndarray, after: Any) -> None:
        super().__init__()
        self._reader = reader
        self.window = window
        self._mirror = mirror
        self._out = out
        self.after = after

    def work(self) -> None:
        self._reader.put(self.window, self._mirror, self._out)
