"""Ground truth boxes as blobs hold them: rows of image, label, instance, xmin, ymin, xmax, ymax, difficult."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob

COLUMNS = 8


@dataclass(frozen=True)
class GroundTruth:
    """The ground truth boxes of a batch.

    Attributes:
        images: the image of each box, int64, shape (G,).
        labels: its class, int64, shape (G,).
        boxes: shape (G, 4).
        difficult: bool, shape (G,).
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    difficult: np.ndarray

    def of_image(self, image: int) -> np.ndarray:
        """The places of one image's boxes."""
        return np.flatnonzero(self.images == image)


def read_ground_truth(rows: np.ndarray, background: int, use_difficult: bool) -> GroundTruth:
    """Take the rows that hold a box: those of image -1 fill up the blob.

    Args:
        rows: shape (R, 8).
        background: the label that no box may have.
        use_difficult: whether difficult boxes count.

    Raises:
        LayerError: a box is of the background.
    """
    whole = rows[:, (0, 1, 7)].astype(np.int64)
    wanted = whole[:, 0] != -1
    if (whole[wanted, 1] == background).any():
        row = int(np.flatnonzero(wanted & (whole[:, 1] == background))[0])
        raise LayerError(
            f"Found background label in the dataset: row {row} of the ground truth has label {background}."
        )
    difficult = whole[:, 2] != 0
    if not use_difficult:
        wanted &= ~difficult
    return GroundTruth(whole[wanted, 0], whole[wanted, 1], rows[wanted, 3:7], difficult[wanted])


def require_rows(blob: Blob, columns: int, what: str) -> int:
    """How many rows a blob of shape (1, 1, rows, columns) has.

    Raises:
        ShapeError: it has another shape.
    """
    shape = blob.shape
    if len(shape) != 4 or shape[:2] != (1, 1) or shape[3] != columns:
        raise ShapeError(f"{what} has the shape (1, 1, rows, {columns}), not {shape}.")
    return shape[2]
