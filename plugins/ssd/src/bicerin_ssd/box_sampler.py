"""Sampling of parts of an image that have to do with its objects. Liu et al., SSD, 2016, section 2.2.

A part has a scale (the root of its area) and an aspect ratio at random, and is at a random place. It counts if there
are no constraints, or if one object meets them all: the part's overlap with the object, how much of the part the object
covers, and how much of the object the part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin_ssd.boxes import coverages, overlaps


def check_sampler(sampler: Any) -> None:
    """Refuse scales and aspect ratios that are not ranges.

    Raises:
        LayerError: they are not.
    """
    if not 0 < sampler.min_scale <= sampler.max_scale <= 1:
        raise LayerError(
            f"sampler: min_scale {sampler.min_scale:g} and max_scale {sampler.max_scale:g} "
            "are not a range within (0, 1]."
        )
    if not 0 < sampler.min_aspect_ratio <= sampler.max_aspect_ratio < float("inf"):
        raise LayerError(
            f"sampler: min_aspect_ratio {sampler.min_aspect_ratio:g} and max_aspect_ratio "
            f"{sampler.max_aspect_ratio:g} are not a range."
        )


def sampled_boxes(batch_samplers: Sequence[Any], objects: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The parts that all samplers together find: shape (N, 4).

    Args:
        batch_samplers: `BatchSampler`s.
        objects: the boxes of an image, shape (G, 4).
    """
    found = [np.empty((0, 4), np.float32)]
    for batch_sampler in batch_samplers:
        if not batch_sampler.use_original_image:
            continue
        # All trials at once; those after the last that is wanted are not used.
        boxes = _trials(batch_sampler.sampler, batch_sampler.max_trials, random)
        boxes = boxes[meets(batch_sampler.sample_constraint, boxes, objects)]
        found.append(boxes[: batch_sampler.max_sample] if batch_sampler.HasField("max_sample") else boxes)
    return np.concatenate(found)


def jittered_box(jitter: float, random: np.random.Generator) -> np.ndarray:
    """A part whose width and height are 1 - `jitter` to 1, anywhere: shape (1, 4). It is MobileNet-YOLO's."""
    draw = random.random((2, 2))
    extent = 1 - jitter * draw[0]
    corner = draw[1] * (1 - extent)
    return np.concatenate((corner, corner + extent))[None].astype(np.float32)


def _trials(sampler: Any, number: int, random: np.random.Generator) -> np.ndarray:
    """Random boxes within the unit box: float32, shape (number, 4)."""
    draw = random.random((4, number))
    scale = sampler.min_scale + draw[0] * (sampler.max_scale - sampler.min_scale)
    # An aspect ratio beyond these would not fit.
    least, most = np.maximum(sampler.min_aspect_ratio, scale**2), np.minimum(sampler.max_aspect_ratio, scale**-2.0)
    root = np.sqrt(least + draw[1] * (most - least))
    extent = np.minimum(np.stack((scale * root, scale / root), axis=1), 1)
    corner = draw[2:].T * (1 - extent)
    return np.hstack((corner, corner + extent)).astype(np.float32)


def meets(constraint: Any, boxes: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Whether each box meets a `SampleConstraint`: bool, shape (N,)."""
    wanted = [field.name for field, _ in constraint.ListFields()]
    if not wanted:
        return np.full(len(boxes), True)
    measures = {
        "jaccard_overlap": overlaps(boxes, objects),
        "sample_coverage": coverages(boxes, objects),
        "object_coverage": coverages(objects, boxes).T,
    }
    met = np.full((len(boxes), len(objects)), True)
    for name in wanted:
        limit, measure = np.float32(getattr(constraint, name)), measures[name[4:]]
        met &= measure >= limit if name.startswith("min_") else measure <= limit
    return np.asarray(met.any(axis=1))
