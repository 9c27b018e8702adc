"""Arrays to and from Caffe's messages; images, and how they are made a net's input.

Images are arrays of shape (H, W, K), float32, 0 to 1, RGB; what a net reads is (K, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import bicerin_proto
from caffe.proto import caffe_pb2

# Messages


def blobproto_to_array(blob: Any, return_diff: bool = False) -> np.ndarray:
    """The data of a BlobProto, or its diff: float64, of the shape that it states.

    Raises:
        ValueError: it does not hold as many numbers as its shape says.
    """
    if return_diff:
        numbers = np.array(blob.diff or blob.double_diff, np.float64)
    else:
        numbers = np.array(blob.data or blob.double_data, np.float64)
    if any(blob.HasField(axis) for axis in ("num", "channels", "height", "width")):
        return numbers.reshape(blob.num, blob.channels, blob.height, blob.width)
    return numbers.reshape(tuple(blob.shape.dim))


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """A BlobProto of float32 that holds an array, and with `diff` its gradient."""
    return bicerin_proto.array_blob(arr, diff, into=caffe_pb2.BlobProto(), dtype=np.float32)


def arraylist_to_blobprotovector_str(arraylist: Sequence[np.ndarray]) -> bytes:
    """A BlobProtoVector that holds arrays, in binary."""
    return caffe_pb2.BlobProtoVector(blobs=map(array_to_blobproto, arraylist)).SerializeToString()


def blobprotovector_str_to_arraylist(str: bytes) -> list[np.ndarray]:
    """The arrays in a binary BlobProtoVector."""
    return [blobproto_to_array(blob) for blob in caffe_pb2.BlobProtoVector.FromString(str).blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Any:
    """A Datum that holds an array (K, H, W): uint8 as bytes, anything else as floats.

    Raises:
        ValueError: the array has not three axes.
        TypeError: the label is not a whole number.
    """
    if arr.ndim != 3:
        raise ValueError(f"Incorrect array shape: {arr.shape}. A datum has three axes: channels, height, width.")
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).ravel().tolist())
    if label is not None:
        try:
            datum.label = label
        except TypeError:
            raise TypeError(f"The label of a datum is a whole number, not {label!r}.") from None
    return datum


def datum_to_array(datum: Any) -> np.ndarray:
    """The array (K, H, W) in a Datum: uint8 if it holds bytes, else float64."""
    if len(datum.data):
        array = np.frombuffer(datum.data, np.uint8).copy()
    else:
        array = np.array(datum.float_data, np.float64)
    return array.reshape(datum.channels, datum.height, datum.width)


# Images as a net's input


class Transformer:
    """Makes images the inputs of a net, and back, in as many of these steps as are set for an input:

    resize to the input's height and width, transpose, swap channels, times raw_scale, minus mean, times input_scale.

    Args:
        inputs: the shape (N, K, H, W) of each input, by name.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}
        self.is_flow: dict[str, bool] = {}

    def __check_input(self, in_: str) -> None:
        if in_ not in self.inputs:
            raise Exception(f"{in_} is not one of the net inputs: {self.inputs}")

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """An input, float32 (K, H, W), from an image (H', W', K), which stays as it is.

        Raises:
            ValueError: the image is (K, H', W'), so that rows would be taken for channels.
        """
        self.__check_input(in_)
        image = data.astype(np.float32)
        size = tuple(self.inputs[in_][2:])
        if image.shape[:2] != size:
            if image.ndim == 3 and image.shape[0] == self.inputs[in_][1] != image.shape[2]:
                raise ValueError(
                    f"{in_}: an image of shape {data.shape} has its channels first; preprocess takes "
                    "(height, width, channels), which image.transpose(1, 2, 0) is."
                )
            image = resize_image(image, size)
        if in_ in self.transpose:
            image = image.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            image = image[list(self.channel_swap[in_])]
        if self.raw_scale.get(in_) is not None:
            image *= self.raw_scale[in_]
        if self.mean.get(in_) is not None:
            image -= self.mean[in_]
        if self.input_scale.get(in_) is not None:
            image *= self.input_scale[in_]
        return image

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """The image that an input was made from, of the input's size."""
        self.__check_input(in_)
        image = data.copy().squeeze()
        if self.input_scale.get(in_) is not None:
            image /= self.input_scale[in_]
        if self.mean.get(in_) is not None:
            image += self.mean[in_]
        if self.raw_scale.get(in_) is not None:
            image /= self.raw_scale[in_]
        if in_ in self.channel_swap:
            image = image[np.argsort(self.channel_swap[in_])]
        if in_ in self.transpose:
            image = image.transpose(np.argsort(self.transpose[in_]))
        return image

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of the image's axes in the input: (2, 0, 1) makes (H, W, K) (K, H, W)."""
        self.__check_input(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise Exception("Transpose order needs to have the same number of dimensions as the input.")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of the channels: (2, 1, 0) makes RGB BGR. They are the first axis, after the transpose."""
        self.__check_input(in_)
        if len(order) != self.inputs[in_][1]:
            raise Exception("Channel swap needs to have the same number of dimensions as the input channels.")
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """What the image is multiplied with before the mean is subtracted: 255 where the net reads 0 to 255."""
        self.__check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """What is subtracted: one number per channel, shape (K,), or an image (K, H, W) or (H, W).

        An image of another size than the input's is resized to it.

        Raises:
            ValueError: the input has another number of channels.
        """
        self.__check_input(in_)
        channels, *size = self.inputs[in_][1:]
        if mean.ndim not in (1, 2, 3):
            raise ValueError("Mean shape invalid")
        if mean.ndim != 2 and len(mean) != channels:
            raise ValueError("Mean channels incompatible with input.")
        if mean.ndim == 1:
            mean = mean[:, np.newaxis, np.newaxis]
        elif mean.shape[-2:] != tuple(size):
            image = mean.reshape(-1, *mean.shape[-2:]).transpose(1, 2, 0)
            mean = resize_image(image, size).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """What the image is multiplied with after everything else."""
        self.__check_input(in_)
        self.input_scale[in_] = scale

    def set_is_flow(self, in_: str, is_flow: bool) -> None:
        """Note that an input is optical flow, as scripts of lisa-caffe do.

        `preprocess` treats flow as it treats images, with the mean that is set; `flip_image` takes `flow` itself.
        """
        self.__check_input(in_)
        self.is_flow[in_] = is_flow


# Images


def load_image(filename: Any, color: bool = True) -> np.ndarray:
    """Read an image file: float32, 0 to 1, (H, W, 3) in RGB, or (H, W, 1) with `color` False."""
    import skimage.io
    from skimage.util import img_as_float

    image = img_as_float(skimage.io.imread(filename, as_gray=not color)).astype(np.float32)
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
        return np.tile(image, (1, 1, 3)) if color else image
    return image[:, :, :3] if image.shape[2] == 4 else image


def resize_image(im: np.ndarray, new_dims: Sequence[int], interp_order: int = 1) -> np.ndarray:
    """An image (H, W, K) at another height and width, by interpolation; float32.

    Images of one or three channels go through skimage's `resize`, without smoothing; others through SciPy's `zoom`.
    """
    if im.shape[-1] in (1, 3):
        from skimage.transform import resize

        low, high = im.min(), im.max()
        if high == low:  # skimage takes 0 to 1
            return np.full((new_dims[0], new_dims[1], im.shape[-1]), low, np.float32)
        standard = (im - low) / (high - low)
        resized = resize(standard, tuple(new_dims), order=interp_order, mode="constant", anti_aliasing=False)
        return (resized * (high - low) + low).astype(np.float32)
    from scipy.ndimage import zoom

    factors = np.array(new_dims, float) / im.shape[:2]
    return zoom(im, (*factors, 1), order=interp_order).astype(np.float32)


def flip_image(im: np.ndarray, axis: int = 1, flow: bool = False) -> np.ndarray:
    """An image (H, W, K) mirrored along an axis, by default left and right; a copy.

    Args:
        flow: whether it is optical flow of values 0 to 1, x in channel 0 and y in channel 1, where 0.5 is no motion:
            the direction along the axis then changes its sign, v becomes 1 - v.
    """
    flipped = np.flip(im, axis).copy()
    if flow:
        channel = 1 - axis
        flipped[:, :, channel] = 1 - flipped[:, :, channel]
    return flipped


def oversample(images: Any, crop_dims: Any) -> np.ndarray:
    """The four corners and the center of each image (H, W, K), then these five mirrored: float32 (10 N, h, w, K)."""
    height, width = (int(size) for size in crop_dims)
    rows, columns = images[0].shape[:2]
    corners = [(top, left) for top in (0, rows - height) for left in (0, columns - width)]
    center = (int(rows / 2 - height / 2), int(columns / 2 - width / 2))
    crops = np.empty((10 * len(images), height, width, images[0].shape[-1]), np.float32)
    for index, image in enumerate(images):
        ten = crops[10 * index : 10 * index + 10]
        for place, (top, left) in enumerate([*corners, center]):
            ten[place] = image[top : top + height, left : left + width]
        ten[5:] = ten[:5, :, ::-1]
    return crops


def __getattr__(name: str) -> Any:
    if name == "skimage":  # scripts reach it through here
        import skimage
        import skimage.io
        import skimage.transform

        return skimage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
