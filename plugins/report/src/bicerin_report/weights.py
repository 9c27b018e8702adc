"""The weights as the page shows them: histograms, norms, dead units, the first filters, and how far they moved."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.net.outline import NetOutline
from bicerin.net.picture import is_image, pixels
from bicerin.net.weights import load_weights
from bicerin_report.picture import png, spaced
from bicerin_report.recording import dead_units, norm

_log = logging.getLogger("bicerin.report")

_BINS = 40
#: More filters than these are not drawn.
_MOST_FILTERS = 256

Data = dict[str, Any]


def weights_of(outline: NetOutline, files: Sequence[str]) -> Data:
    """The weights of the last of the files, in the order of their iterations, and what changed from one to the next.

    Args:
        outline: of the net that they belong to; its blobs take the values.

    Raises:
        BicerinError: a file cannot be read, or does not fit the net.
    """
    ordered = sorted(files, key=lambda path: (_iteration(path) is not None, _iteration(path) or 0))
    over_time: dict[str, Data] = {}
    before: dict[str, np.ndarray] = {}
    began: int | None = None
    for place, path in enumerate(ordered):
        report = load_weights(outline.nodes, lambda blob: outline.learnable.of_blob[id(blob)].blob is blob, path)
        if report.missing or report.unused:
            _log.warning("%s", report)
        iteration = _iteration(path)
        arrays = {name: array.copy() for name, array in _arrays(outline).items()} if len(ordered) > 1 else {}
        for name, array in arrays.items():
            one = over_time.setdefault(name, {"x": [], "norm": [], "update": [], "dead": []})
            one["x"].append(iteration if iteration is not None else place)
            one["norm"].append(norm(array))
            steps = iteration - began if iteration is not None and began is not None else 1
            moved = norm(array - before[name]) / max(1, steps) if name in before else None
            one["update"].append(moved)
            one["dead"].append(dead_units(array))
        before, began = arrays, iteration
    return {
        "file": ordered[-1],
        "files": ordered,
        "missing": report.missing,
        "unused": report.unused,
        "blobs": [_described(name, array) for name, array in _arrays(outline).items()],
        "filters": _filters(outline),
        "over_time": over_time or None,
    }


def _iteration(path: str) -> int | None:
    """The number of a snapshot: lenet_iter_500.caffemodel."""
    found = re.search(r"_iter_(\d+)\.", Path(path).name)
    return int(found[1]) if found is not None else None


def _arrays(outline: NetOutline) -> dict[str, np.ndarray]:
    """The learnable blobs, each once, named after their layers and places."""
    return {
        f"{node.name} {position}": blob.read_only.data
        for node in outline.nodes
        for position, blob in enumerate(node.blobs)
        if outline.learnable.of_blob[id(blob)].blob is blob
    }


def _described(name: str, array: np.ndarray) -> Data:
    layer, _, position = name.rpartition(" ")
    finite = array[np.isfinite(array)].astype(np.float64)
    counts, edges = np.histogram(finite, _BINS) if finite.size else (np.zeros(1, int), np.zeros(2))
    return {
        "layer": layer,
        "position": int(position),
        "shape": array.shape,
        "count": array.size,
        "norm": norm(finite),
        "mean": float(finite.mean()) if finite.size else None,
        "deviation": float(finite.std()) if finite.size else None,
        "least": float(finite.min()) if finite.size else None,
        "largest": float(finite.max()) if finite.size else None,
        "zeros": int(array.size - np.count_nonzero(array)),
        "not_finite": int(array.size - finite.size),
        "units": len(array) if array.ndim > 1 else 0,
        "dead": dead_units(array),
        "histogram": {"counts": counts.tolist(), "from": float(edges[0]), "to": float(edges[-1])},
    }


def _filters(outline: NetOutline) -> Data | None:
    """The filters of the first layer that has some over images, as a picture."""
    for node in outline.nodes:
        if node.blobs and is_image(node.blobs[0].shape):
            array = node.blobs[0].read_only.data
            shown = pixels(array[:_MOST_FILTERS], symmetric=True)
            return {
                "layer": node.name,
                "shape": array.shape,
                "shown": len(shown),
                "picture": png(spaced(shown)),
                "size": spaced(shown).shape[:2],
            }
    return None
