"""AnnotatedData: batches of images with boxes, from a store of AnnotatedDatum records. Liu et al., SSD, 2016.

The store is read as by Data. `label_map_file` is not needed.

With `yolo_data_type: 1` the labels are what the losses of bicerin-yolo read, and `yolo_data_jitter`, the most of a side
that is cut off, takes the place of `batch_sampler`. Difficult objects are left out where `train_diffcult` is false.

Source: the AnnotatedDataLayer of SSD's Caffe, and that of MobileNet-YOLO for its own fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import DataError, LayerError
from bicerin.layer import Blob, HasExample, enum_name
from bicerin_data.batch_reader import Batch, BatchReader
from bicerin_data.data import StoreReader
from bicerin_data.prefetching_layer import PrefetchingLayer
from bicerin_data.stores import open_store
from bicerin_ssd.annotated_image import AnnotatedImage, read_record
from bicerin_ssd.annotated_transformer import AnnotatedTransformer
from bicerin_ssd.ground_truth import COLUMNS

#: The most objects of an image in the form for YOLO, and the numbers of each.
YOLO_ROWS, YOLO_COLUMNS = 300, 5
#: MobileNet-YOLO's fields of `annotated_data_param` that are for its nets of segmentation, and others.
_OTHERS = (
    "single_class",
    "seg_scales",
    "seg_resize_width",
    "seg_resize_height",
    "difficult_label_warmup",
)


class AnnotatedDataLayer(HasExample, PrefetchingLayer):
    """Top 0: images (N, C, H, W), transformed as `batch_sampler` and `transform_param` say. Top 1, where there is one:
    the objects of all images, (1, 1, G, 8), in rows of image, label, instance, xmin, ymin, xmax, ymax, difficult;
    one row of -1 where there are none. Or labels (N, 1, 1, 1), where the records' annotations have no type. With
    `yolo_data_type: 1` the objects of each image, (N, 1, 300, 5), in rows of label, from 0, and the box's centre x, y,
    width, height, and zeros after the last.
    """

    type = "AnnotatedData"
    example = """
        layer {
          name: "data" type: "AnnotatedData" top: "data" top: "label"
          transform_param {
            mean_value: 104 mean_value: 117 mean_value: 123 mirror: true
            resize_param { prob: 1 resize_mode: WARP height: 300 width: 300 interp_mode: LINEAR }
          }
          data_param { source: "train_lmdb" backend: LMDB batch_size: 32 }
          annotated_data_param { label_map_file: "labelmap.prototxt" batch_sampler { max_sample: 1 max_trials: 1 } }
        }
        """

    def open_reader(self) -> BatchReader:
        param = self.param.data_param
        if not param.source:
            raise DataError("data_param names no source.")
        backend = enum_name(param, "backend", ("LEVELDB", "LMDB"))
        transformer = AnnotatedTransformer(
            self.param.transform_param,
            list(self.param.annotated_data_param.batch_sampler),
            self.phase,
            self.dtype,
            self.context.resolve,
            self.param.annotated_data_param.yolo_data_jitter if self._for_yolo else None,
        )
        return _AnnotatedReader(self, open_store(self.context.resolve(param.source), backend), transformer)

    @property
    def _for_yolo(self) -> bool:
        return bool(self.param.annotated_data_param.yolo_data_type)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        _refuse_others_fields(self.param.annotated_data_param)
        super().layer_set_up(bottom, top)
        if len(top) > 1:
            top[1].reshape(*self._reader.label_shape())  # type: ignore[attr-defined]

    def batch_without_data(self) -> tuple[int, tuple[int, ...] | None]:
        batch, image = super().batch_without_data()
        transform = self.param.transform_param
        sizes = [(transform.crop_h, transform.crop_w), *((one.height, one.width) for one in transform.resize_param)]
        return batch, image or next(((3, *size) for size in sizes if all(size)), None)

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int | None, ...]]:
        data, *_ = super().shapes_without_data(tops)
        label = (data[0], 1, YOLO_ROWS, YOLO_COLUMNS) if self._for_yolo else (1, 1, 1, COLUMNS)
        return [data, label][:tops]


def _refuse_others_fields(param: Any) -> None:
    """Raise a `LayerError` where fields are set that a layer of the same name in another fork makes use of."""
    unset = type(param)()
    if param.yolo_data_type not in (0, 1):
        raise LayerError(
            f"annotated_data_param: yolo_data_type is 0, for SSD, or 1, for YOLO, not {param.yolo_data_type}."
        )
    for name in _OTHERS if param.yolo_data_type else (*_OTHERS, "yolo_data_jitter", "train_diffcult"):
        value = getattr(param, name)
        if value != getattr(unset, name):
            raise LayerError(
                f"annotated_data_param: {name} is {str(value).lower()}, which MobileNet-YOLO's AnnotatedData knows; "
                "this one, of SSD, does not.",
                f"Remove {name}, if what it does is not needed.",
            )
    enum_name(param, "anno_type", ("BBOX",))


class _AnnotatedReader(StoreReader):
    transformer: AnnotatedTransformer

    def __init__(self, layer: AnnotatedDataLayer, store: Any, transformer: AnnotatedTransformer) -> None:
        super().__init__(layer, store, transformer)
        self._boxes: bool | None = True if layer.param.annotated_data_param.HasField("anno_type") else None
        self._objects = 0
        own = layer.param.annotated_data_param
        self._for_yolo, self._difficult = bool(own.yolo_data_type), bool(own.train_diffcult)

    def parse(self, value: bytes) -> tuple[np.ndarray, AnnotatedImage]:
        image, typed = read_record(value, self.transformer.color, self._boxes)
        if self._boxes is None:
            # The first record says what all records have.
            self._boxes, self._objects = typed, len(image.boxes)
        return image.pixels.transpose(2, 0, 1), image

    def label_shape(self) -> tuple[int, ...]:
        """The label's shape, as far as the first record tells."""
        if not self._boxes:
            return (self.batch_size, 1, 1, 1)
        if self._for_yolo:
            return (self.batch_size, 1, YOLO_ROWS, YOLO_COLUMNS)
        return (1, 1, max(1, self._objects), COLUMNS)

    def read(self, recycled: Batch | None) -> Batch:
        """The next batch; unless they are resized or cropped, its images must be of one size."""
        random = self.random(0, self.number)
        resizes = self.transformer.resize_for_batch(random)
        data: np.ndarray | None = None
        images: list[AnnotatedImage] = []
        while len(images) < self.batch_size:
            record = self.next_image(self.batch_size - len(images))
            _, image, name = record
            try:
                values, image = self.transformer.transform(image, resizes, random)
                if data is None:
                    data = self.array_for(recycled, values.shape)
                elif values.shape != data.shape[1:]:
                    raise DataError(
                        f"its shape is {values.shape}, but that of the batch's first record is {data.shape[1:]}.",
                        "Give transform_param a resize_param.",
                    )
            except DataError as error:
                self.bad.refuse(name, error)
                continue
            data[len(images)] = values
            images.append(image)
            self.bad.good()
        self.number += 1
        assert data is not None  # There is at least one image in a batch.
        return Batch(data, self._label(images), self.position())

    def _label(self, images: Sequence[AnnotatedImage]) -> np.ndarray:
        if not self._boxes:
            return np.array([image.label for image in images], self.dtype).reshape(-1, 1, 1, 1)
        if self._for_yolo:
            return self._yolo_label(images)
        rows = np.full((max(1, sum(len(image.boxes) for image in images)), COLUMNS), -1, self.dtype)
        begin = 0
        for number, image in enumerate(images):
            own = rows[begin : begin + len(image.boxes)]
            own[:, 0] = number
            own[:, 1:3] = image.objects[:, :2]
            own[:, 3:7] = image.boxes
            own[:, 7] = image.objects[:, 2]
            begin += len(own)
        return rows[None, None]

    def _yolo_label(self, images: Sequence[AnnotatedImage]) -> np.ndarray:
        rows = np.zeros((len(images), 1, YOLO_ROWS, YOLO_COLUMNS), self.dtype)
        for own, image in zip(rows[:, 0], images, strict=True):
            kept = (image.objects[:, 2] == 0) | self._difficult
            boxes, number = image.boxes[kept][:YOLO_ROWS], min(int(kept.sum()), YOLO_ROWS)
            own[:number, 0] = image.objects[kept][:YOLO_ROWS, 0] - 1
            own[:number, 1:3] = (boxes[:, :2] + boxes[:, 2:]) / 2
            own[:number, 3:] = boxes[:, 2:] - boxes[:, :2]
        return rows
