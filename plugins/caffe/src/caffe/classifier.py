"""Classifier: a net that takes images and gives class probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from caffe import io
from caffe.proto.caffe_pb2 import TEST
from caffe.pycaffe import Net


class Classifier(Net):
    """A net with one input, in the phase TEST, and a `Transformer` for it.

    Args:
        image_dims: height and width that images are resized to before they are cropped; by default the input's.
        mean, input_scale, raw_scale, channel_swap: for the transformer; see `caffe.io.Transformer`.
    """

    def __init__(
        self,
        model_file: Any,
        pretrained_file: Any,
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = input_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].data.shape[2:])
        self.image_dims = self.crop_dims if image_dims is None else image_dims

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """The net's first output for each image (H, W, K): shape (N, number of classes).

        Args:
            oversample: take the mean over the corners, the center and their mirrors; else only the center counts.
        """
        height, width = self.image_dims
        images = np.stack([io.resize_image(image, (height, width)) for image in inputs])
        if oversample:
            images = io.oversample(images, self.crop_dims)
        else:
            top, left = (int(edge) for edge in (np.array([height, width]) - self.crop_dims) / 2)
            images = images[:, top : top + self.crop_dims[0], left : left + self.crop_dims[1]]
        name = self.inputs[0]
        prepared = np.stack([self.transformer.preprocess(name, image) for image in images])
        predictions = self.forward_all(None, **{name: prepared})[self.outputs[0]]
        if oversample:
            return predictions.reshape(len(predictions) // 10, 10, -1).mean(1)
        return predictions


def input_transformer(
    net: Net,
    mean: np.ndarray | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
) -> io.Transformer:
    """The transformer of images (H, W, K) for the first input of a net."""
    name = net.inputs[0]
    transformer = io.Transformer({name: net.blobs[name].data.shape})
    transformer.set_transpose(name, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(name, mean)
    if input_scale is not None:
        transformer.set_input_scale(name, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(name, channel_swap)
    return transformer
