"""DetectNetTransformation: images with boxes, changed at random at TRAIN, and what a net of cells is to say of them.

At TRAIN each image is changed as `detectnet_augmentation_param` says: hue, saturation, mirrored, resized, turned, cut
out; at TEST it is resized to `image_size_y` x `image_size_x`. Its boxes follow. `transform_param` gives the mean that
is subtracted, after the colours are changed: one `mean_value`, or three, or a `mean_file`, which is resized to the
images. Then the objects become a grid as `detectnet_groundtruth_param` says: the cells around an object's middle are
its own, and hold where its corners are, one over its sides, its weight and its class. How is said in
`bicerin_rcnn.detectnet_augmentation` and `bicerin_rcnn.detectnet_coverage`.

What is random comes from the layer's own generator, twelve numbers for each image, whether they are used or not; the
fork draws from its own, and as many as it uses. So trainings differ from the fork's in their numbers, not in their
distribution. No gradient.

Source: A. Tao, J. Barker, S. Sarathy, "DetectNet: Deep neural network for object detection in DIGITS", 2016, and the
DetectNetTransformationLayer of NVIDIA's Caffe, as it runs on the CPU; on a GPU the fork samples images in another way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import DataError, LayerError, ShapeError
from bicerin.layer import TRAIN, Blob, BlobCounts, Layer, image_shape
from bicerin.layer.data_file import read_blob
from bicerin_rcnn.detectnet_augmentation import Augmentation, changed_boxes, changed_image, plain, resized
from bicerin_rcnn.detectnet_coverage import Coverage

_NUMBERS = 16
"""Of a box: x1, y1, width, height, an angle, the class, and ten that are not read."""
_CLASS = 5

_NOT_READ = ("scale", "mirror", "crop_size", "force_color", "force_gray")


class DetectNetTransformationLayer(Layer):
    """Bottom 0: images `(N, 3, H, W)`, blue, green and red from 0 to 255.

    Bottom 1: labels `(N, ..., 16)`, rows of 16 numbers. The first says how many boxes follow, and that they have 16
    numbers; the next ones are boxes: x1, y1, width, height in pixels, an angle, the class, ten more. The rest is not
    read.

    Top 0: images `(N, 3, image_size_y, image_size_x)`, less the mean.

    Top 1: `(N, 8 + classes, rows, columns)`, a cell for each `stride` pixels; the channels are 1, x1, y1, x2, y2, 1 /
    width, 1 / height, the weight, and 1 for the class; all are 0 where the cell is no object's.
    """

    type = "DetectNetTransformation"
    counts = BlobCounts(bottom=2, top=2)
    allows_in_place = False
    runs_on = "host"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.coverage = Coverage(self.param.detectnet_groundtruth_param)
        self.wanted = self.coverage.image_size
        self.augmentation = Augmentation(self.param.detectnet_augmentation_param, self.wanted)
        param = self.param.transform_param
        unread = [name for name in _NOT_READ if param.HasField(name)]
        if unread:
            raise LayerError(
                f"transform_param: {', '.join(unread)} has no meaning here.",
                "A mean is all that this layer reads of it.",
            )
        if param.HasField("mean_file") and param.mean_value:
            raise LayerError("transform_param: mean_file and mean_value cannot both be given.")
        if len(param.mean_value) not in (0, 1, 3):
            raise LayerError(f"transform_param: one mean_value or three, not {len(param.mean_value)}.")
        self.mean = np.array(param.mean_value or [0], self.dtype)[:, None, None]
        if param.HasField("mean_file"):
            self.mean = read_blob(self.context.resolve(param.mean_file), "mean_file").astype(self.dtype)
            if self.mean.size == 0 or self.mean.shape[:-2] not in ((3,), (1, 3)):
                raise DataError(
                    f"mean_file {param.mean_file}: one image (1, 3, H, W) is expected, not {self.mean.shape}."
                )
            self.mean = self.mean.reshape(self.mean.shape[-3:])

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        images, labels = bottom
        number, channels, height, width = image_shape(images)
        if channels != 3 or not height * width:
            raise ShapeError(f"images must have the shape (N, 3, H, W), not {images.shape}.")
        if labels.num_axes < 2 or labels.num != number or labels.shape[-1] != _NUMBERS or not labels.shape[-2]:
            raise ShapeError(
                f"labels must have the shape ({number}, ..., {_NUMBERS}), not {labels.shape}.",
                f"A row for how many boxes there are, then one for each, of {_NUMBERS} numbers.",
            )
        top[0].reshape(number, 3, *self.wanted)
        top[1].reshape(number, *self.coverage.shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        images = bottom[0].data
        size = images.shape[2:]
        labels = bottom[1].data.reshape(len(images), bottom[1].count_between(1) // _NUMBERS, _NUMBERS)
        mean = resized(self.mean, size) if self.mean.shape[1] > 1 or self.mean.shape[2] > 1 else self.mean
        choices = [plain(self.wanted)] * len(images)
        if self.phase is TRAIN:
            drawn = self.context.random.random((len(images), Augmentation.draws)).tolist()
            choices = [self.augmentation.choose(row, size) for row in drawn]
        for index, choice in enumerate(choices):
            boxes = self._boxes(labels[index], index)
            top[0].data[index] = changed_image(images[index], mean, choice, self.wanted)
            self.coverage(changed_boxes(boxes[:, :4], choice, size), boxes[:, _CLASS], top[1].data[index])

    @staticmethod
    def _boxes(label: np.ndarray, index: int) -> np.ndarray:
        """The rows of an image's boxes, `(B, 16)`, float64."""
        number, numbers = label[0, :2].tolist()
        if numbers != _NUMBERS or not 0 <= number < len(label):
            raise DataError(
                f"label {index} begins with {number:g} boxes of {numbers:g} numbers; there is room for "
                f"{len(label) - 1}, of {_NUMBERS}."
            )
        return label[1 : 1 + int(number)].astype(np.float64)
