"""What a net says of samples: its classes, and how often and where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import bicerin_proto
from bicerin.errors import BicerinError
from bicerin_report.picture import png

#: How much is shown: samples, without labels and with; of a class; classes; the largest table of confusions; pairs.
_SAMPLES = 24
_LABELLED_SAMPLES = 4
_OF_A_CLASS = 4
_CLASSES = 20
_MATRIX = 40
_PAIRS = 30

Data = dict[str, Any]


def read_class_names(path: str) -> list[str]:
    """The names of the classes, one a line."""
    return bicerin_proto.read_text(path).rstrip().splitlines()


def answers_of(
    pictures: np.ndarray | None,
    scores: np.ndarray | None,
    labels: np.ndarray | None,
    count: int,
    class_names: Sequence[str] | None = None,
    names: Sequence[str] = (),
) -> Data:
    """What the net says of samples, and, where they have labels, how often it is right.

    Args:
        pictures: uint8 (N, height, width, 1 or 3).
        scores: (N, classes); probabilities, or what their softmax is.
        labels: int (N,); those that are no class are left out.
        count: N.
        class_names: of the classes.
        names: of the samples, where they have some.

    Raises:
        BicerinError: there are not as many names as classes, or there are no scores.
    """
    if scores is None:
        if class_names is not None:
            raise BicerinError("there are names of classes, but no blob has scores for them: --scores names it.")
        shown = range(min(count, _SAMPLES))
        samples: list[Data] = [{"number": i, "picture": _picture(pictures, i), "top": []} for i in shown]
        return {"samples": samples, "classes": None, "class_names": None}
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
        "classes": classes,
        "class_names": list(class_names) if class_names is not None else None,
        "samples": [sample(i) for i in range(min(count, _SAMPLES if labels is None else _LABELLED_SAMPLES))],
    }
    if labels is None:
        return found
    return {**found, "labelled": _compared(labels, share, order, sample)}


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Rows that add up to 1: the scores, where they do, or their softmax."""
    with np.errstate(all="ignore"):
        if (scores >= 0).all() and np.allclose(scores.sum(1), 1, atol=1e-3):
            return scores
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))


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
