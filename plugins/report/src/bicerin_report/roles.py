"""Which blobs of a net are its images, the scores for the classes, and the labels."""

from __future__ import annotations

from dataclasses import dataclass

from bicerin.errors import NetError
from bicerin.net import Net
from bicerin.net.picture import is_image


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


def roles_of(net: Net, scores: str | None = None) -> Roles:
    """Find the blobs: the labels are read together with the scores, by a loss or a layer that counts hits.

    Args:
        scores: the blob with the scores, where the user says so.

    Raises:
        NetError: there is no such blob, or it is not of the shape of scores.
    """
    origin = origins_of(net)
    sources = sources_of(net)
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


def sources_of(net: Net) -> set[str]:
    """The names of the blobs that layers without a bottom make: what the net reads."""
    return {name for node in net.nodes if not node.bottom for name in node.top_names}


def origins_of(net: Net) -> dict[str, str]:
    """The names of the copies that Split layers hand out -> the blob's own."""
    found: dict[str, str] = {}
    for node in net.nodes:
        if node.type == "Split":
            found.update(dict.fromkeys(node.top_names, found.get(node.bottom_names[0], node.bottom_names[0])))
    return found
