"""What a net makes of images, as the page shows it: classes, mistakes, activations, units that never answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import bicerin_proto
from bicerin.errors import BicerinError, DataError, NetError
from bicerin.net import Net
from bicerin.net.arrays_file import read_arrays
from bicerin.net.picture import is_image, pixels
from bicerin_proto.quotation import printable
from bicerin_report.picture import png, shrunk, spaced

#: Larger sides are shrunk.
_SAMPLE_SIZE = 64
_TILE_SIZE = 36
#: How much is shown.
_ACTIVATED_SAMPLES = 4
_TILES = 16
_BLOBS = 6
_SAMPLES = 24
_OF_A_CLASS = 4
_CLASSES = 20
_MATRIX = 40
_PAIRS = 30


Data = dict[str, Any]
Batches = Iterator[int]


@dataclass
class Roles:
    """Which blobs are what.

    Attributes:
        images: the blob that is shown as the images; None where nothing of that shape is read.
        scores: (N, classes), or None.
        labels: N numbers, or None.
    """

    images: str | None = None
    scores: str | None = None
    labels: str | None = None


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


def roles_of(net: Net, scores: str | None = None) -> Roles:
    """Find the blobs: the labels are read together with the scores, by a loss or a layer that counts hits.

    Args:
        scores: the blob with the scores, where the user says so.
    """
    origin = origins(net)
    sources = {name for node in net.nodes if not node.bottom for name in node.top_names}
    found = Roles(
        images=next((name for name in net.blobs if name in sources and is_image(net.blobs[name].shape)), None)
    )
    if scores is not None:
        net.blob(scores)
        if not _are_scores(net.blobs[scores].shape):
            raise NetError(f'"{scores}" has the shape {net.blobs[scores].shape}; scores are (N, number of classes).')
        found.scores = scores
    for node in net.nodes:
        names = [origin.get(name, name) for name in node.bottom_names]
        labels = [name for name in names if name in sources and _are_labels(net.blobs[name].shape)]
        rated = [name for name in names if _are_scores(net.blobs[name].shape) and name not in sources]
        if labels and rated and len(net.blobs[labels[0]].shape) and scores in (None, rated[0]):
            found.scores, found.labels = rated[0], labels[0]
    if found.scores is None:
        found.scores = next((name for name in net.outputs if _are_scores(net.blobs[name].shape)), None)
    return found


def _are_scores(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 2 and shape[1] > 1 and all(size == 1 for size in shape[2:])


def _are_labels(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 1 and all(size == 1 for size in shape[1:])


def origins(net: Net) -> dict[str, str]:
    """The names of the copies that Split layers hand out -> the blob's own."""
    found: dict[str, str] = {}
    for node in net.nodes:
        if node.type == "Split":
            found.update(dict.fromkeys(node.top_names, found.get(node.bottom_names[0], node.bottom_names[0])))
    return found


def read_class_names(path: str) -> list[str]:
    """The names of the classes, one a line."""
    return bicerin_proto.read_text(path).rstrip().splitlines()


# Where images come from: each yields how many samples the net has just run on


def from_data_layers(net: Net, samples: int) -> Batches:
    """The net's own data, pass by pass."""
    done = 0
    while done < samples:
        net.run_forward()
        batch = _batch(net)
        yield batch
        done += max(1, batch)


def from_arrays(net: Net, path: str, samples: int, batch: int = 32) -> Batches:
    """The arrays of an .npz, one for each input, by their names."""
    arrays = read_arrays(path)
    missing = [name for name in net.inputs if name not in arrays]
    lengths = {len(array) for array in arrays.values() if array.ndim}
    if missing or len(lengths) != 1:
        has = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
        raise DataError(
            f"{printable(path)}: it should have an array for each of the inputs ({', '.join(net.inputs)}), of one "
            f"length; it has {has}."
        )
    total = min(samples, lengths.pop())
    for first in range(0, total, batch):
        net.forward({name: array[first : min(total, first + batch)] for name, array in arrays.items()})
        yield min(batch, total - first)


def from_files(net: Net, preprocess: Any, input: str, files: Sequence[str], batch: int = 16) -> Batches:
    """Image files, prepared as a `bicerin_data.Preprocessor` does."""
    for first in range(0, len(files), batch):
        some = list(files[first : first + batch])
        net.forward({input: preprocess(some)})
        yield len(some)


def _batch(net: Net) -> int:
    return next(
        (int(node.top[0].shape[0]) for node in net.nodes if not node.bottom and node.top and node.top[0].shape), 0
    )


# What is made of them


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
    return {**found, **_answers(roles, seen, class_names, names)}


def _spread(net: Net) -> list[str]:
    """Blobs that are maps: the first, the last, and some between."""
    origin = origins(net)
    maps = [
        name
        for name, blob in net.blobs.items()
        if name not in origin and len(blob.shape) == 4 and min(blob.shape[2:]) > 1 and name not in net.inputs
    ]
    sources = {name for node in net.nodes if not node.bottom for name in node.top_names}
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
    origin = origins(net)
    makers = {name: node.name for node in net.nodes for name in node.top_names}
    sources = {name for node in net.nodes if not node.bottom for name in node.top_names}
    return [
        {"blob": name, "layer": makers.get(name, ""), "channels": len(largest), "silent": int((largest == 0).sum())}
        for name, largest in seen.largest.items()
        if name not in origin and name not in sources
    ]


def _activations(net: Net, seen: _Seen) -> Data:
    makers = {name: node.name for node in net.nodes for name in node.top_names}
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


def _tiles(sample: np.ndarray) -> np.ndarray:
    """The channels (C, height, width) of one sample beside each other, on one scale, so that a weak one looks weak."""
    tiles = np.nan_to_num(shrunk(sample[:, None], _TILE_SIZE)[:, 0, :, :, None].astype(np.float64), posinf=0, neginf=0)
    low, high = tiles.min(), tiles.max()
    scaled = (tiles - low) / (high - low if high > low else 1) * 255
    return spaced(scaled.round().astype(np.uint8), columns=4)


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Rows that add up to 1: the scores, where they do, or their softmax."""
    with np.errstate(all="ignore"):
        if (scores >= 0).all() and np.allclose(scores.sum(1), 1, atol=1e-3):
            return scores
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))


def _answers(roles: Roles, seen: _Seen, class_names: Sequence[str] | None, names: Sequence[str]) -> Data:
    pictures = np.concatenate(seen.pictures) if seen.pictures else None
    scores = np.concatenate(seen.scores) if seen.scores else None
    labels = np.concatenate(seen.labels) if seen.labels else None
    if scores is None:
        shown = range(min(seen.count, _SAMPLES))
        samples: list[Data] = [{"number": i, "picture": _picture(pictures, i), "top": []} for i in shown]
        return {"samples": samples, "classes": None, "class_names": None, "scores": None}
    classes = scores.shape[1]
    if class_names is not None and len(class_names) != classes:
        raise BicerinError(f"there are {len(class_names)} names of classes, and the net tells {classes} apart.")
    share = probabilities(scores)
    order = np.argsort(-share, axis=1, kind="stable")

    def sample(i: int) -> Data:
        return {
            "number": i,
            "name": names[i] if i < len(names) else "",
            "picture": _picture(pictures, i),
            "label": int(labels[i]) if labels is not None else None,
            "top": [[int(one), _rounded(share[i, one])] for one in order[i, :5]],
            "of_label": _rounded(share[i, labels[i]]) if labels is not None and 0 <= labels[i] < classes else None,
        }

    found: Data = {
        "scores": roles.scores,
        "classes": classes,
        "class_names": list(class_names) if class_names is not None else None,
        "samples": [sample(i) for i in range(min(seen.count, _SAMPLES if labels is None else _ACTIVATED_SAMPLES))],
    }
    if labels is None:
        return found
    return {**found, "labelled": _compared(labels, share, order, sample)}


def _compared(labels: np.ndarray, share: np.ndarray, order: np.ndarray, sample: Any) -> Data:
    """What is known of samples with labels."""
    classes = share.shape[1]
    valid = np.flatnonzero((labels >= 0) & (labels < classes))
    truth, said = labels[valid], order[valid, 0]
    of_label = share[valid, truth]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, said), 1)
    hits, totals = counts.diagonal(), counts.sum(1)
    wrong = counts - np.diag(hits)
    worst_pairs = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    pairs = [
        [int(one // classes), int(one % classes), int(wrong.flat[one])] for one in worst_pairs if wrong.flat[one] > 0
    ]
    present = np.flatnonzero(totals)
    hardest = sorted(present.tolist(), key=lambda one: (hits[one] / totals[one], one))[:_CLASSES]
    rows = []
    for one in present.tolist() if len(present) <= _CLASSES else hardest:
        members = valid[truth == one]
        ranked = members[np.argsort(share[members, one], kind="stable")]
        rows.append(
            {
                "class": one,
                "count": int(totals[one]),
                "hits": int(hits[one]),
                "worst": [sample(int(i)) for i in ranked[:_OF_A_CLASS]],
                "best": [sample(int(i)) for i in ranked[::-1][: min(_OF_A_CLASS, max(0, len(ranked) - _OF_A_CLASS))]],
            }
        )
    with np.errstate(divide="ignore"):
        loss = -np.log(np.maximum(of_label, np.finfo(np.float32).tiny))
    return {
        "count": len(valid),
        "left_out": int(len(labels) - len(valid)),
        "top1": float((said == truth).mean()) if len(valid) else None,
        "top5": float((order[valid, :5] == truth[:, None]).any(1).mean()) if len(valid) and classes > 5 else None,
        "loss": float(loss.mean()) if len(valid) else None,
        "confusion": counts.tolist() if classes <= _MATRIX else None,
        "pairs": pairs,
        "of_classes": rows,
        "all_classes": len(present) <= _CLASSES,
    }


def _picture(pictures: np.ndarray | None, index: int) -> str | None:
    return png(pictures[index]) if pictures is not None else None


def _rounded(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
