"""How a prediction describes a box relative to a prior one: 4 numbers for 4 coordinates, and back.

    CORNER       (corner - prior corner)
    CENTER_SIZE  (centre - prior centre) / prior extent, log(extent / prior extent)
    CORNER_SIZE  (corner - prior corner) / prior extent

each divided by the prior's variance, unless the variances are encoded in the targets. Liu et al., SSD, 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import enum_name

#: What kernels call the codes: their numbers in the schema.
NUMBERS = {"CORNER": 1, "CENTER_SIZE": 2, "CORNER_SIZE": 3}


def code_name(param: Any) -> str:
    """The name of a message's `code_type`."""
    return enum_name(param, "code_type", tuple(NUMBERS))


def encode(code: str, priors: np.ndarray, variances: np.ndarray | None, boxes: np.ndarray) -> np.ndarray:
    """What would be a right prediction of boxes.

    Args:
        code: CORNER, CENTER_SIZE or CORNER_SIZE.
        priors, boxes: shape (N, 4).
        variances: shape (N, 4); None where they are encoded in the targets.

    Raises:
        LayerError: a variance, or an extent that is divided by, is not positive.
    """
    if code == "CORNER":
        encoded = boxes - priors
    elif code == "CENTER_SIZE":
        prior_extent, extent = _extent(priors, "prior box"), _extent(boxes, "ground truth box")
        encoded = np.empty_like(boxes)
        encoded[:, :2] = (_center(boxes) - _center(priors)) / prior_extent
        encoded[:, 2:] = np.log(extent / prior_extent)
    else:
        encoded = (boxes - priors) / np.tile(_extent(priors, "prior box"), 2)
    if variances is not None:
        if (variances <= 0).any():
            raise LayerError(f"the variances of prior boxes must be positive, not {variances.min():g}.")
        encoded /= variances
    return encoded


def decode(code: str, priors: np.ndarray, variances: np.ndarray | None, predictions: np.ndarray) -> np.ndarray:
    """The boxes that predictions describe.

    Args:
        code: CORNER, CENTER_SIZE or CORNER_SIZE.
        priors: shape (P, 4), or (N, P, 4) where each image has its own.
        variances: shape (P, 4); None where they are encoded in the targets.
        predictions: shape (N, P, L, 4), for N images and L classes.

    Returns:
        An array of the predictions' shape.

    Raises:
        LayerError: a prior has no extent to be scaled by.
    """
    priors = priors[..., None, :]
    offsets = predictions if variances is None else variances[:, None] * predictions
    if code == "CORNER":
        return priors + offsets
    extent = _extent(priors, "prior box")
    if code == "CORNER_SIZE":
        return priors + offsets * np.tile(extent, 2)
    center = offsets[..., :2] * extent + _center(priors)
    half = np.exp(offsets[..., 2:]) * extent / 2
    return np.concatenate((center - half, center + half), axis=-1)


def _center(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _extent(boxes: np.ndarray, what: str) -> np.ndarray:
    extent: np.ndarray = boxes[..., 2:] - boxes[..., :2]
    if not (extent > 0).all():
        index = int(np.argmax(~(extent > 0).all(axis=-1)))
        corners = ", ".join(f"{value:g}" for value in boxes.reshape(-1, 4)[index])
        raise LayerError(f"{what} {index} has no width or no height: {corners} (xmin, ymin, xmax, ymax).")
    return extent
