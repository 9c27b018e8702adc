"""An image with boxes around its objects, and how these change with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from bicerin.errors import DataError
from bicerin.schema.installed_schema import schema
from bicerin_data.datum import datum_array
from bicerin_ssd.boxes import coverages, projected


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and its objects.

    Attributes:
        pixels: uint8, shape (H, W, C).
        objects: label, instance and whether it is difficult, of each object: int64, shape (G, 3).
        boxes: float32, shape (G, 4), as fractions of the image.
        label: the image's own, where it has no boxes.
    """

    pixels: np.ndarray
    objects: np.ndarray
    boxes: np.ndarray
    label: int

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    def with_pixels(self, pixels: np.ndarray) -> AnnotatedImage:
        return replace(self, pixels=pixels)

    def projected(self, part: np.ndarray, emit: Any = None) -> AnnotatedImage:
        """The objects that are in a part of the image, relative to it; the pixels as they are.

        Args:
            part: a box, which may reach beyond the image.
            emit: an `EmitConstraint`: which objects are kept, of those that the part cuts.
        """
        boxes, kept = projected(self.boxes, part)
        if emit is not None:
            kept &= _emitted(self.boxes, part, emit)
        return replace(self, objects=self.objects[kept], boxes=boxes[kept])

    def cropped(self, part: np.ndarray, emit: Any = None) -> AnnotatedImage:
        """A part of the image, cut to whole pixels, with the objects in it."""
        part = np.clip(part, 0, 1)
        height, width = self.size
        scale = np.array((width, height), np.float32)
        left, top = (part[:2] * scale).astype(int)
        across, down = np.maximum(1, (part[2:] * scale - part[:2] * scale).astype(int))
        pixels = self.pixels[top : top + down, left : left + across]
        return self.projected(part, emit).with_pixels(pixels)


def read_record(value: bytes, color: bool | None, boxes: bool | None) -> tuple[AnnotatedImage, bool]:
    """The image in the bytes of an `AnnotatedDatum`, and whether it has boxes.

    Args:
        color: whether an encoded image is converted to color (True), to gray (False) or to neither (None).
        boxes: whether all records have boxes; None takes what this one says.

    Raises:
        DataError: the bytes are not an AnnotatedDatum, hold no image of bytes, or hold annotations of another type.
    """
    try:
        record = schema().plugin_type("bicerin-ssd", "AnnotatedDatum").FromString(value)
    except DecodeError:
        raise DataError(f"its {len(value)} bytes are not an AnnotatedDatum.") from None
    array = datum_array(record.datum, color)
    if array.dtype != np.uint8:
        raise DataError("its image is of floats; an annotated one is of bytes.")
    if boxes is None:
        boxes = record.HasField("type")
        if record.type:
            raise DataError(f"Unknown annotation type: {record.type}; 0, BBOX, is the only one that is read here.")
    found = (
        [(group, annotation) for group in record.annotation_group for annotation in group.annotation] if boxes else []
    )
    objects = [(group.group_label, one.instance_id, one.bbox.difficult) for group, one in found]
    corners = [(one.bbox.xmin, one.bbox.ymin, one.bbox.xmax, one.bbox.ymax) for _, one in found]
    image = AnnotatedImage(
        np.ascontiguousarray(array.transpose(1, 2, 0)),
        np.array(objects, np.int64).reshape(-1, 3),
        np.array(corners, np.float32).reshape(-1, 4),
        record.datum.label,
    )
    return image, boxes


def _emitted(boxes: np.ndarray, part: np.ndarray, emit: Any) -> np.ndarray:
    if emit.emit_type == emit.CENTER:
        center = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside: np.ndarray = ((center >= part[:2]) & (center <= part[2:])).all(axis=1)
        return inside
    enough: np.ndarray = coverages(boxes, part[None])[:, 0] > np.float32(emit.emit_overlap)
    return enough
