"""The objects of each image, as YOLO's losses read them.

Two forms of a blob hold them: `(N, 1, T, 5)` or `(N, 5 T)` with rows of class, from 0, and the box's centre x, y, width
and height, as parts of the image; the list of an image ends with the first row of zeros. And `(1, 1, G, 8)`, as SSD's
AnnotatedData gives them, with rows of image, class, from 1, instance, xmin, ymin, xmax, ymax, difficult; an image of -1
for none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob

#: Numbers of an object: class, centre x and y, width, height.
COLUMNS = 5
#: Those of a row of AnnotatedData.
ANNOTATED = 8


def is_annotated(blob: Blob) -> bool:
    """Whether objects are in the form of AnnotatedData."""
    return blob.num_axes == 4 and blob.shape[:2] == (1, 1) and blob.shape[3] == ANNOTATED


def objects_per_image(blob: Blob, images: int, side: int) -> int:
    """The most objects that an image may have.

    Raises:
        ShapeError: it is neither form.
    """
    if is_annotated(blob):
        return blob.shape[2]
    listed = blob.num_axes in (2, 4) and blob.shape[0] == images and (blob.num_axes == 2 or blob.shape[3] == COLUMNS)
    count = int(np.prod(blob.shape[1:]))
    if listed and blob.num_axes == 2 and count == 7 * side * side:
        raise ShapeError(
            f"{blob.name or 'bottom 1'} holds planes of {side} x {side} places, for DetectionLoss.",
            "BoxData gives rows of class and box with data_param { label_rows: 30 }.",
        )
    if not listed or count % COLUMNS:
        raise ShapeError(
            f"{blob.name or 'bottom 1'} must have the shape ({images}, 1, objects, 5), not {blob.shape}.",
            "A row is class, x, y, width, height; or (1, 1, objects, 8), as AnnotatedData gives them.",
        )
    return count // COLUMNS


def list_objects(xp: Any, annotated: Any, objects: Any) -> Any:
    """Write rows of AnnotatedData, `(G, 8)`, into `objects`, `(N + 1, G, 5)`, of which the last image is nobody's.

    Returns:
        0, or NaN where a row's image is not one of the N.
    """
    images, most = len(objects) - 1, len(annotated)
    given = annotated[:, 0]
    inside = (given >= 0) & (given < images)
    image = xp.where(inside, given, images).astype(np.int64)
    rank = xp.cumsum(image[:, None] == xp.arange(images + 1), axis=0)[xp.arange(most), image] - 1
    corner, opposite = annotated[:, 3:5], annotated[:, 5:7]
    objects.fill(0)
    objects[image, rank, 0] = annotated[:, 1] - 1
    objects[image, rank, 1:3] = (corner + opposite) / 2
    objects[image, rank, 3:5] = opposite - corner
    return xp.where((inside | (given == -1)).all(), 0, np.nan)


def faults(xp: Any, objects: Any, classes: int) -> Any:
    """Which rows are in a list, and are no object of one of the classes in the image: `(N, T)` of bool."""
    label, x, y, width, height = (objects[:, :, column] for column in range(COLUMNS))
    listed = xp.cumsum(width == 0, axis=1) == 0
    right = (label >= 0) & (label < classes) & (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1) & (width > 0) & (height > 0)
    return listed & ~right


def refuse_faults(objects: np.ndarray, classes: int, fault: Any = 0) -> None:
    """Raise a `LayerError` for the first row that is no object, or if `list_objects` returned NaN."""
    if np.isnan(fault):
        raise LayerError(f"an object is of an image that is not there; there are {len(objects)}.")
    wrong = faults(np, objects, classes)
    if wrong.any():
        image, row = (int(index) for index in np.unravel_index(int(wrong.argmax()), wrong.shape))
        numbers = ", ".join(f"{float(value):g}" for value in objects[image, row])
        raise LayerError(
            f"object {row} of image {image} is ({numbers}): its class must be 0 to {classes - 1}, its centre in the "
            "image, and its width and height greater than 0.",
            "A row is class, x, y, width, height, as parts of the image; one with a width of 0 ends the list.",
        )
