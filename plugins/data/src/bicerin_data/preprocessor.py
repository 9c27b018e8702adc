"""Images made what a trained net reads.

    y = (x - mean) * scale

x is the image, 0 to 255, resized and then cropped to the middle. It is what a data layer does in phase TEST, with the
same code (`Transformer`), for images that somebody has in hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError, NetError
from bicerin.layer import Context, Phase
from bicerin.net import Net
from bicerin_data.image import channels_converted, read_image, resized
from bicerin_data.transformer import Transformer, read_mean
from bicerin_proto import Document, TransformationParameter

Image = str | PathLike[str] | np.ndarray
"""An image file; or an array, uint8, of shape (H, W, 3) or gray: (H, W) or (H, W, 1)."""

_KNOWN = {"scale", "mirror", "crop_size", "mean_file", "mean_value", "force_color", "force_gray"}
_ORDERS = ("BGR", "RGB")


class Preprocessor:
    """Makes images an array that a net reads.

    Args:
        shape: (C, H, W) of what the net reads. Of 1 channel it is gray, of 3 colour.
        resize: what images are resized to, bilinearly, before the middle is cropped: (height, width), or a number for
            the shorter side. By default the size of the mean where that is an image, and else the net's own H and W.
        mean: what is subtracted: a number, one for each channel, an image (C, h, w), or the name of a `.binaryproto`.
            An image has the size that images are resized to, or is of the size of the crop.
        scale: what is multiplied after that.
        channel_order: of what the net reads, "BGR" as Caffe's nets or "RGB"; the numbers of `mean` are in that order.

    Raises:
        NetError: these do not go together.
        MissingDataError, DataError: the file of the mean cannot be read.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        resize: Sequence[int] | int | None = None,
        mean: float | Sequence[float] | np.ndarray | str | PathLike[str] | None = None,
        scale: float = 1.0,
        channel_order: str = "BGR",
    ) -> None:
        if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1:
            raise NetError(f"images have the shape (C, H, W) with 1 or 3 channels; the net reads {tuple(shape)}.")
        if channel_order not in _ORDERS:
            raise NetError(f'channel_order is "BGR" or "RGB", not {channel_order!r}.')
        self.shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self.channel_order = channel_order
        self.scale = scale
        self._transformer = Transformer(
            TransformationParameter(scale=scale), Phase.TEST, np.dtype(np.float32), Context().resolve
        )
        self.resize = self._checked_size(resize)
        if mean is not None:
            self._set_mean(read_mean(Path(mean)) if isinstance(mean, (str, PathLike)) else np.asarray(mean, np.float32))

    @classmethod
    def from_transform_param(
        cls, param: Any, shape: Sequence[int], directory: Path | None = None, **options: Any
    ) -> Preprocessor:
        """What a layer with this `transform_param` does in phase TEST; images are not mirrored.

        Args:
            param: a `TransformationParameter`.
            shape: (C, H, W) of what the net reads.
            directory: the folder of the prototxt, where `mean_file` is looked for too.
            options: for the class: `resize`, and others to take in the place of what `param` says.

        Raises:
            NetError: it asks for more than a mean, a scale and a crop.
        """
        if other := sorted({field.name for field, _ in param.ListFields()} - _KNOWN):
            raise NetError(f"transform_param: {', '.join(other)}: only a mean, a scale and a crop can be done here.")
        crop = param.crop_size
        if crop and (crop, crop) != tuple(shape[1:]):
            raise NetError(f"crop_size is {crop}, and the net reads images of {shape[1]} x {shape[2]}.")
        mean: Any = list(param.mean_value) or None
        if param.HasField("mean_file"):
            mean = Context(directory=directory).resolve(param.mean_file)
        return cls(shape, **{"mean": mean, "scale": param.scale, **options})

    @classmethod
    def of_net(cls, net: Net, input: str | None = None, **options: Any) -> Preprocessor:
        """What the layer that makes an input says in its `transform_param`. Without one, images go in as they are.

        `transform_param` is for data layers; an Input layer may have one too, which is not used but here.

        Args:
            net: whose input's shape says the size.
            input: the blob; by default the net's only one of four axes.
            options: for the class, to take in the place of what the layer says.

        Raises:
            NetError: there is no such input, or several.
        """
        name = image_input(net) if input is None else input
        shape = net.blob(name).shape[1:]
        param = next(node.param for node in net.nodes if name in node.top_names)
        if not param.HasField("transform_param"):
            return cls(shape, **options)
        return cls.from_transform_param(param.transform_param, shape, net.directory, **options)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.resize)) if isinstance(self.resize, tuple) else self.resize
        mean: Any = None
        if self.mean is not None:
            mean = f"image {self.mean.shape}" if self.mean.ndim == 3 else self.mean.tolist()
        return (
            f"Preprocessor({self.shape}, resize={size}, mean={mean}, scale={self.scale:g}, "
            f"channel_order={self.channel_order!r})"
        )

    @property
    def mean(self) -> np.ndarray | None:
        """One number for each channel, (C,), or an image (C, h, w); None where nothing is subtracted."""
        if self._transformer.mean is not None:
            return self._transformer.mean
        return self._transformer.mean_values if self._transformer.mean_values.size else None

    def __call__(self, images: Image | Sequence[Image], order: str = "RGB") -> np.ndarray:
        """Images as a net reads them: float32 (N, C, H, W).

        Args:
            images: one image or several; an array of four axes is several.
            order: of the channels of those that are arrays: "RGB" as Pillow, imageio and Matplotlib have them, "BGR"
                as OpenCV. Files need none.

        Raises:
            DataError: a file is no image, or an array is none of an image's shape and type.
        """
        if order not in _ORDERS:
            raise DataError(f'order is "RGB" or "BGR", not {order!r}.')
        one = isinstance(images, (str, PathLike)) or (isinstance(images, np.ndarray) and images.ndim < 4)
        several: Any = [images] if one else images
        prepared = [self._resized(self._planes(image, order)) for image in several]
        out = np.empty((len(prepared), *self.shape), np.float32)
        self._transformer(prepared, np.random.default_rng(), out)
        return out

    # Steps

    def _checked_size(self, resize: Any) -> tuple[int, int] | int:
        height, width = self.shape[1:]
        if resize is None:
            return height, width
        shorter = False
        try:
            shorter = np.ndim(resize) == 0
            sides = [int(resize)] * 2 if shorter else [int(side) for side in resize]
        except (TypeError, ValueError):
            sides = []
        if len(sides) != 2 or sides[0] < height or sides[1] < width:
            raise NetError(
                f"resize={resize!r}: give a height and a width, or one number for the shorter side, of at least the "
                f"{height} x {width} that the net reads."
            )
        return sides[0] if shorter else (sides[0], sides[1])

    def _set_mean(self, mean: np.ndarray) -> None:
        channels, height, width = self.shape
        if mean.ndim == 4 and len(mean) == 1:
            mean = mean[0]
        if mean.ndim < 2 and mean.size in (1, channels):
            self._transformer.mean_values = mean.reshape(-1).astype(np.float32)
            return
        if mean.ndim == 3 and mean.shape[0] == channels:
            if mean.shape[1:] == (height, width):
                self._transformer.mean = mean
                return
            if self.resize == (height, width) and min(mean.shape[1] - height, mean.shape[2] - width) >= 0:
                self.resize = (mean.shape[1], mean.shape[2])
            if self.resize == mean.shape[1:]:
                self._transformer.mean = _middle(mean, height, width)
                return
        raise NetError(
            f"the mean has the shape {mean.shape}; the net reads {self.shape}: give one number, {channels} for the "
            f"channels, or an image of {channels} channel(s) that has the size that images are resized to."
        )

    def _planes(self, image: Any, order: str) -> np.ndarray:
        """An image as (C, H, W) in the order of the net's channels."""
        color = self.shape[0] == 3
        if isinstance(image, (str, PathLike)):
            planes = read_image(str(image), color)
        else:
            planes = channels_converted(_image_array(image), color, blue_first=order == "BGR")
        return planes[::-1] if color and self.channel_order == "RGB" else planes

    def _resized(self, planes: np.ndarray) -> np.ndarray:
        _, height, width = planes.shape
        size = self.resize
        if isinstance(size, int):
            shorter = min(height, width)
            size = (max(size, round(height * size / shorter)), max(size, round(width * size / shorter)))
        if (height, width) != size:
            planes = resized(planes, *size)
        return _middle(planes, *self.shape[1:])


def _middle(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = ((have - want) // 2 for have, want in zip(planes.shape[1:], (height, width), strict=True))
    return planes[:, top : top + height, left : left + width]


def _image_array(image: Any) -> np.ndarray:
    array = np.asarray(image)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)) or not array.size:
        if array.ndim == 3 and array.shape[0] in (1, 3):
            hint: str | None = "Its channels come first: image.transpose(1, 2, 0) puts them last."
        elif array.ndim == 3 and array.shape[2] == 4:
            hint = "Its fourth channel says how opaque it is: image[:, :, :3] leaves that out."
        else:
            hint = "Was the image read?" if image is None else None
        raise DataError(f"an image has the shape (H, W, 3), (H, W, 1) or (H, W); got {array.shape}.", hint)
    if array.dtype != np.uint8:
        hint = "Of values 0 to 1: (image * 255).round().astype(np.uint8)." if array.dtype.kind == "f" else None
        raise DataError(f"an image is of uint8, 0 to 255; got {array.dtype}.", hint)
    return array


def image_input(net: Net) -> str:
    """The net's input of four axes.

    Raises:
        NetError: there is none, or several.
    """
    found = [name for name in net.inputs if len(net.blobs[name].shape) == 4]
    if len(found) != 1:
        what = f"{len(found)} inputs of four axes ({', '.join(found)})" if found else "no input of four axes"
        raise NetError(f'the net "{net.name}" has {what}; images go into one, with the shape (N, C, H, W).')
    return found[0]


def transform_param(document: Document) -> Any:
    """The `transform_param` of the layer that reads images, of several one of phase TEST; None where none has one."""
    found = [layer for layer in document.message.layer if layer.HasField("transform_param") and not layer.bottom]
    tested = [layer for layer in found if any(rule.phase == Phase.TEST for rule in layer.include)]
    return next((layer.transform_param for layer in [*tested, *found]), None)
