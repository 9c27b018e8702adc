"""What a net makes of images, as the page shows it: activations, units that never answer, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.net import Net
from bicerin.net.picture import pixels
from bicerin_report.answers import answers_of
from bicerin_report.batches import Batches
from bicerin_report.picture import png, shrunk, spaced
from bicerin_report.roles import Roles, origins_of, roles_of, sources_of

#: Larger sides are shrunk.
_SAMPLE_SIZE = 64
_TILE_SIZE = 36
#: How much is shown.
_ACTIVATED_SAMPLES = 4
_TILES = 16
_BLOBS = 6

Data = dict[str, Any]


@dataclass
class _Seen:
    """What is kept of all batches."""

    pictures: list[np.ndarray] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    #: Blob -> for each channel, its largest value so far; of blobs that have never had a negative one.
    largest: dict[str, np.ndarray] = field(default_factory=dict)
    negative: set[str] = field(default_factory=set)
    activations: dict[str, list[np.ndarray]] = field(default_factory=dict)
    count: int = 0


def images_of(
    net: Net,
    batches: Batches,
    *,
    blobs: Sequence[str] = (),
    scores: str | None = None,
    class_names: Sequence[str] | None = None,
    source: str = "",
    names: Sequence[str] = (),
) -> Data:
    """Run the net over the batches, and say what it made of them.

    Args:
        blobs: whose activations are shown; by default some of those that are maps, evenly spread.
        scores: the blob with the scores for the classes.
        class_names: of the classes.
        source: where the images are from, in words.
        names: of the samples, where they have some.

    Raises:
        DataError: there are no images.
        BicerinError: a blob is not there or not of the shape, or there are not as many names as classes.
    """
    roles = roles_of(net, scores)
    for name in blobs:
        net.blob(name)
    shown = list(blobs) or _spread(net)
    seen = _Seen(activations={name: [] for name in shown})
    for count in batches:
        _look(net, roles, seen, count)
    if not seen.count:
        raise DataError("there are no images to look at: no sample was run.")
    found: Data = {"source": source, "count": seen.count, "activity": _activity(net, seen), **_activations(net, seen)}
    pictures, scored, labels = (
        np.concatenate(kept) if kept else None for kept in (seen.pictures, seen.scores, seen.labels)
    )
    answers = answers_of(pictures, scored, labels, seen.count, class_names, names)
    return {**found, "scores": roles.scores, **answers}


def _spread(net: Net) -> list[str]:
    """Blobs that are maps: the first, the last, and some between."""
    origin = origins_of(net)
    maps = [
        name
        for name, blob in net.blobs.items()
        if name not in origin and len(blob.shape) == 4 and min(blob.shape[2:]) > 1 and name not in net.inputs
    ]
    sources = sources_of(net)
    maps = [name for name in maps if name not in sources]
    if len(maps) <= _BLOBS:
        return maps
    return [maps[round(place)] for place in np.linspace(0, len(maps) - 1, _BLOBS)]


def _look(net: Net, roles: Roles, seen: _Seen, count: int) -> None:
    """Keep what is needed of the pass that the net has just run."""

    def values(name: str) -> np.ndarray:
        return net.blobs[name].read_only.data[:count]

    if roles.images is not None:
        seen.pictures.append(pixels(shrunk(values(roles.images), _SAMPLE_SIZE)))
    if roles.scores is not None:
        seen.scores.append(values(roles.scores).reshape(count, -1).astype(np.float64))
    if roles.labels is not None:
        seen.labels.append(values(roles.labels).reshape(count).astype(np.int64))
    missing = _ACTIVATED_SAMPLES - seen.count
    for name, kept in seen.activations.items():
        array = net.blobs[name].read_only.data
        if missing > 0 and array.ndim == 4 and len(array) >= count:
            kept.append(array[: min(count, missing), :_TILES].copy())
    for name, blob in net.blobs.items():
        if name in seen.negative or len(blob.shape) < 2 or blob.shape[0] < count or blob.shape[1] < 2:
            continue
        array = values(name)
        if not array.size or not array.min() >= 0:
            seen.negative.add(name)
            seen.largest.pop(name, None)
            continue
        largest = array.max(axis=(0, *range(2, array.ndim)))
        seen.largest[name] = np.maximum(seen.largest[name], largest) if name in seen.largest else largest
    seen.count += count


def _activity(net: Net, seen: _Seen) -> list[Data]:
    """Of each blob without negative values, as ReLU makes them: the channels that were 0 for all samples."""
    origin = origins_of(net)
    makers = _makers(net)
    sources = sources_of(net)
    return [
        {"blob": name, "layer": makers.get(name, ""), "channels": len(largest), "silent": int((largest == 0).sum())}
        for name, largest in seen.largest.items()
        if name not in origin and name not in sources
    ]


def _activations(net: Net, seen: _Seen) -> Data:
    makers = _makers(net)
    rows = []
    for name, kept in seen.activations.items():
        if not kept:
            continue
        array = np.concatenate(kept)
        pictures = [_tiles(sample) for sample in array]
        rows.append(
            {
                "blob": name,
                "layer": makers.get(name, ""),
                "shape": net.blobs[name].shape,
                "channels": array.shape[1],
                "pictures": [png(picture) for picture in pictures],
                "size": pictures[0].shape[:2],
            }
        )
    return {"activations": rows}


def _makers(net: Net) -> dict[str, str]:
    """Blob -> the layer that makes it, of several the last."""
    return {name: node.name for node in net.nodes for name in node.top_names}


def _tiles(sample: np.ndarray) -> np.ndarray:
    """The channels (C, height, width) of one sample beside each other, on one scale, so that a weak one looks weak."""
    tiles = np.nan_to_num(shrunk(sample[:, None], _TILE_SIZE)[:, 0, :, :, None].astype(np.float64), posinf=0, neginf=0)
    low, high = tiles.min(), tiles.max()
    scaled = (tiles - low) / (high - low if high > low else 1) * 255
    return spaced(scaled.round().astype(np.uint8), columns=4)
