"""Detector: a net that classifies windows of images.

Source: R. Girshick et al., "Rich feature hierarchies for accurate object detection and semantic segmentation", 2013.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from caffe import io
from caffe.classifier import input_transformer
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
        self.transformer = input_transformer(self, mean, input_scale, raw_scale, channel_swap)
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
        outputs = self.forward_all(None, **{name: np.array(inputs)})[self.outputs[0]]
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
        half = np.array([ymax - ymin + 1, xmax - xmin + 1]) / 2
        center = np.array([ymin, xmin]) + half
        half *= size / (size - 2 * self.context_pad)
        box = np.round(np.concatenate([center - half, center + half]))
        scale = size / (box[2:] - box[:2] + 1)
        # What lies outside of the image is filled with the mean.
        outside = np.round(np.maximum(0, -box[:2]) * scale).astype(int)
        box = np.clip(box, 0, [*im.shape[:2], *im.shape[:2]])
        shape = np.round((box[2:] - box[:2] + 1) * scale).astype(int)
        shape = np.minimum(shape, size - outside)
        ymin, xmin, ymax, xmax = box.astype(int)
        (top, left), (bottom, right) = outside, outside + shape
        crop = np.ones(self.crop_dims, np.float32) * self.crop_mean
        crop[top:bottom, left:right] = io.resize_image(im[ymin:ymax, xmin:xmax], shape)
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how many of the input's pixels on each side show what is around the window."""
        name, transformer = self.inputs[0], self.transformer
        order = np.argsort(transformer.transpose[name])
        #: The shape of a crop, (H, W, K).
        self.crop_dims = np.array(self.blobs[name].shape[1:])[order]
        self.context_pad = context_pad
        if not context_pad:
            return
        mean = transformer.mean.get(name)
        if mean is None:
            self.crop_mean = np.zeros(self.crop_dims, np.float32)
            return
        # As an image whose input is the mean, so that preprocessing makes zeros of it.
        mean = mean.transpose(order)
        if name in transformer.channel_swap:
            mean = mean[:, :, np.argsort(transformer.channel_swap[name])]
        self.crop_mean = mean / transformer.raw_scale.get(name, 1)
