"""Detector: a net that classifies windows of images.

Source: R. Girshick et al., "Rich feature hierarchies for accurate object detection and semantic segmentation", 2013.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from caffe import io
from caffe.proto.caffe_pb2 import TEST
from caffe.pycaffe import Net


class Detector(Net):
    """A net with one input, in the phase TEST, and a `Transformer` for it.

    Args:
        mean, input_scale, raw_scale, channel_swap: for the transformer; see `caffe.io.Transformer`.
        context_pad: how many of the input's pixels on each side show what is around the window.
    """

    def __init__(
        self,
        model_file: Any,
        pretrained_file: Any,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        name = self.inputs[0]
        self.transformer = io.Transformer({name: self.blobs[name].data.shape})
        self.transformer.set_transpose(name, (2, 0, 1))
        if mean is not None:
            self.transformer.set_mean(name, mean)
        if input_scale is not None:
            self.transformer.set_input_scale(name, input_scale)
        if raw_scale is not None:
            self.transformer.set_raw_scale(name, raw_scale)
        if channel_swap is not None:
            self.transformer.set_channel_swap(name, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(self, images_windows: Iterable[tuple[str, Sequence[Any]]]) -> list[dict[str, Any]]:
        """The net's first output for each window.

        Args:
            images_windows: file names of images, each with its windows (ymin, xmin, ymax, xmax).

        Returns:
            A dict for each window: its `filename`, `window` and `prediction`.
        """
        pairs = [(filename, window) for filename, windows in images_windows for window in windows]
        images = {filename: io.load_image(filename).astype(np.float32) for filename, _ in pairs}
        name = self.inputs[0]
        inputs = [self.transformer.preprocess(name, self.crop(images[file], window)) for file, window in pairs]
        outputs = self.forward_all(**{name: np.array(inputs)})[self.outputs[0]]
        # The predictions of a fully convolutional net have two spatial axes of size 1.
        outputs = outputs.reshape(outputs.shape[:2]) if outputs.ndim == 4 else outputs
        return [
            {"window": window, "prediction": output, "filename": filename}
            for (filename, window), output in zip(pairs, outputs, strict=True)
        ]

    def detect_selective_search(self, image_fnames: Sequence[str]) -> list[dict[str, Any]]:
        """As `detect_windows`, with windows from the package `selective_search_ijcv_with_python`."""
        import selective_search_ijcv_with_python as selective_search

        names = [os.path.abspath(name) for name in image_fnames]
        windows = selective_search.get_windows(names, cmd="selective_search_rcnn")
        return self.detect_windows(zip(image_fnames, windows, strict=True))

    def crop(self, im: np.ndarray, window: Sequence[int]) -> np.ndarray:
        """The window of an image (H, W, K); with `context_pad`, of the input's size with what is around the window."""
        ymin, xmin, ymax, xmax = (int(edge) for edge in window)
        if not self.context_pad:
            return im[ymin:ymax, xmin:xmax]
        size = self.blobs[self.inputs[0]].width
        scale = size / (size - 2 * self.context_pad)
        half_height, half_width = scale * (ymax - ymin + 1) / 2, scale * (xmax - xmin + 1) / 2
        center_y, center_x = (ymin + ymax) / 2, (xmin + xmax) / 2
        wanted = np.round(
            [center_y - half_height, center_x - half_width, center_y + half_height, center_x + half_width]
        )
        box_height, box_width = wanted[2] - wanted[0] + 1, wanted[3] - wanted[1] + 1
        scale_y, scale_x = size / box_height, size / box_width
        # What lies outside of the image is filled with the mean.
        clipped = np.clip(wanted, 0, [im.shape[0], im.shape[1]] * 2).astype(int)
        height, width = clipped[2] - clipped[0] + 1, clipped[3] - clipped[1] + 1
        pad_y = round(max(0.0, -wanted[0]) * scale_y)
        pad_x = round(max(0.0, -wanted[1]) * scale_x)
        crop = im[clipped[0] : clipped[2], clipped[1] : clipped[3]]
        crop = io.resize_image(crop, (round(height * scale_y), round(width * scale_x)))
        crop = crop[: size - pad_y, : size - pad_x]
        filled = np.ones(self.crop_dims, np.float32) * self.crop_mean
        filled[pad_y : pad_y + crop.shape[0], pad_x : pad_x + crop.shape[1]] = crop
        return filled

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how many of the input's pixels on each side show what is around the window."""
        name = self.inputs[0]
        shape = np.array(self.blobs[name].shape)[1:]
        transpose = self.transformer.transpose.get(name)
        #: The shape of a crop, (H, W, K).
        self.crop_dims = shape[np.argsort(transpose)] if transpose is not None else shape
        self.context_pad = context_pad
        if not context_pad:
            return
        mean = self.transformer.mean.get(name)
        if mean is None:
            self.crop_mean = np.zeros(self.crop_dims, np.float32)
            return
        # The mean in the form of an image: what preprocessing does to it comes out as zeros.
        order = self.transformer.channel_swap.get(name)
        mean = np.broadcast_to(mean, shape)
        if order is not None:
            mean = mean[np.argsort(order)]
        if transpose is not None:
            mean = mean.transpose(np.argsort(transpose))
        raw_scale = self.transformer.raw_scale.get(name)
        self.crop_mean = mean / raw_scale if raw_scale is not None else mean.copy()
