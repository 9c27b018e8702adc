"""Connectionist temporal classification in logarithms: the probabilities of the beginnings of all paths, from the first
step on, and of their ends, from the last step back.

Each step's logarithms are taken relative to the greatest of them, so that long sequences lose no precision.

A path goes through places: a blank before, between and after the classes of the label, 2 L + 1 of them. At each step it
stays, goes on, or leaves out a blank between two classes that differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.kernels import host_operation, kernel, num_workers, part, spread
from bicerin_ocr.sequences import compacted


def all_sequences_reference(
    x: np.ndarray,
    targets: np.ndarray,
    steps: int,
    blank: int,
    table: np.ndarray,
    losses: np.ndarray,
    delta: np.ndarray,
) -> None:
    """All sequences at once, step by step."""
    scores = x[:steps] - x[:steps].max(axis=2, keepdims=True)
    logarithm = scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))
    number, length = targets.shape
    own = np.arange(number)[:, None]
    lengths = (targets >= 0).sum(axis=1)
    repeats = ((targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] >= 0)).sum(axis=1)
    fits = lengths + repeats <= steps
    classes = np.full((number, 2 * length + 1), blank)
    classes[:, 1::2] = np.where(targets >= 0, targets, blank)
    place = np.arange(2 * length + 1)
    inside = place <= 2 * lengths[:, None]
    leaps = np.zeros(classes.shape, bool)
    leaps[:, 2:] = (place[2:] % 2 == 1) & (classes[:, 2:] != classes[:, :-2])

    def moved(values: np.ndarray, by: int) -> np.ndarray:
        """The values of the places `by` before, or after for a negative number."""
        away = np.full_like(values, -np.inf)
        if by > 0:
            away[:, by:] = values[:, :-by]
        else:
            away[:, :by] = values[:, -by:]
        return away

    emitted = logarithm[:, own, classes]
    total = np.zeros(number, np.float64)
    for t in range(steps):
        if t:
            before = table[:, t - 1]
            leapt = np.where(leaps, moved(before, 2), -np.inf) if length else before
            alpha = np.logaddexp(before, moved(before, 1)) if length else before
            alpha = np.logaddexp(alpha, leapt) if length else alpha
        else:
            alpha = np.where(place < 2, 0, -np.inf)
        alpha = np.where(inside, alpha + emitted[t], -np.inf)
        most = alpha.max(axis=1)
        total += most
        table[:, t] = alpha - np.where(np.isfinite(most), most, 0)[:, None]
    last = np.where(place >= 2 * lengths[:, None] - 1, table[:, -1], -np.inf)
    total += np.logaddexp.reduce(last, axis=1)

    delta.fill(0)
    delta[:steps] = np.exp(logarithm)
    beta = np.where(inside & (place >= 2 * lengths[:, None] - 1), 0, -np.inf)
    for t in reversed(range(steps)):
        share = table[:, t] + beta
        with np.errstate(invalid="ignore"):
            share = np.exp(share - np.logaddexp.reduce(share, axis=1, keepdims=True))
        np.subtract.at(delta[t], (own, classes), np.where(np.isfinite(total)[:, None], share, 0))
        after = beta + emitted[t]
        most = after.max(axis=1, keepdims=True)
        after -= np.where(np.isfinite(most), most, 0)
        beta = after
        if length:
            leapt = moved(np.where(leaps, after, -np.inf), -2)
            beta = np.logaddexp(np.logaddexp(after, moved(after, -1)), leapt)
    delta[:, ~fits] = 0
    losses[...] = np.where(fits, -total, 0)


@part
def log_sum(a, b):  # type: ignore[no-untyped-def]
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    if b == -np.inf:
        return a
    return a + np.log1p(np.exp(b - a))


@part
def sequence(n, worker, x, targets, steps, blank, table, losses, delta):  # type: ignore[no-untyped-def]
    """One sequence; until its step is done, `delta` holds the logarithms of its probabilities."""
    classes = x.shape[2]
    length, repeats = 0, 0
    while length < targets.shape[1] and targets[n, length] >= 0:
        if length and targets[n, length] == targets[n, length - 1]:
            repeats += 1
        length += 1
    delta[:, n] = 0
    losses[n] = 0
    if length + repeats > steps:
        return
    zero = x.dtype.type(0)
    never = np.log(zero)
    for t in range(steps):
        row, own = x[t, n], delta[t, n]
        most, total = row[0], zero
        for c in range(classes):
            most = max(most, row[c])
        for c in range(classes):
            total += np.exp(row[c] - most)
        total = np.log(total)
        for c in range(classes):
            own[c] = row[c] - most - total
    places = 2 * length + 1
    whole = 0.0  # in double precision, whatever the scores are
    for t in range(steps):
        own, alpha = delta[t, n], table[n, t]
        most = never
        for s in range(places):
            label = targets[n, s // 2] if s % 2 else blank
            if t == 0:
                value = zero if s < 2 else never
            else:
                before = table[n, t - 1]
                value = before[s]
                if s > 0:
                    value = log_sum(value, before[s - 1])
                if s > 1 and s % 2 and label != targets[n, s // 2 - 1]:
                    value = log_sum(value, before[s - 2])
            alpha[s] = value + own[label]
            most = max(most, alpha[s])
        whole += most
        if most > never:
            for s in range(places):
                alpha[s] -= most
    total = table[n, steps - 1, places - 1]
    if length:
        total = log_sum(total, table[n, steps - 1, places - 2])
    losses[n] = -(whole + total)
    beta, earlier = np.empty(places, x.dtype), np.empty(places, x.dtype)
    for s in range(places):
        beta[s] = zero if s >= places - 2 else never
    for t in range(steps - 1, -1, -1):
        own, alpha = delta[t, n], table[n, t]
        most, total = never, never
        for s in range(places):
            label = targets[n, s // 2] if s % 2 else blank
            value = beta[s] + own[label]
            if s + 1 < places:
                value = log_sum(value, beta[s + 1] + own[blank if s % 2 else targets[n, s // 2]])
            if s % 2 and s + 2 < places and label != targets[n, s // 2 + 1]:
                value = log_sum(value, beta[s + 2] + own[targets[n, s // 2 + 1]])
            earlier[s] = value
            most = max(most, value)
            total = log_sum(total, alpha[s] + beta[s])
        if most > never:
            for s in range(places):
                earlier[s] -= most
        for c in range(classes):
            own[c] = np.exp(own[c])
        if total > never:
            for s in range(places):
                own[targets[n, s // 2] if s % 2 else blank] -= np.exp(alpha[s] + beta[s] - total)
        beta, earlier = earlier, beta


@kernel(reference=all_sequences_reference)
def all_sequences(x, targets, steps, blank, table, losses, delta):  # type: ignore[no-untyped-def]
    # A place is as much work as some 64 elements elsewhere, and a score as 8.
    workers = num_workers(64 * table.size + 8 * x.size)
    spread(sequence, x.shape[1], workers, (x, targets, steps, blank, table, losses, delta))


@host_operation(compiled=True)
def ctc(
    x: np.ndarray,
    targets: np.ndarray,
    steps: int,
    blank: int,
    table: np.ndarray,
    losses: np.ndarray,
    delta: np.ndarray,
) -> None:
    """Write the loss of each sequence, and its gradient.

    Args:
        x: scores, `(T, N, C)`.
        targets: int32, `(N, L)`: classes, without blanks, followed by -1.
        steps: how many of the T steps count.
        table: `(N, steps, 2 L + 1)`, written.
        losses: `(N,)`, written.
        delta: `(T, N, C)`, written.
    """
    all_sequences(x, targets, steps, blank, table, losses, delta)


@ctc.cuda
def ctc_cuda(kernels: Any, x: Any, targets: Any, steps: int, blank: int, table: Any, losses: Any, delta: Any) -> None:
    xp = kernels.xp
    delta.fill(0)
    scores = x[:steps] - x[:steps].max(axis=2, keepdims=True)
    delta[:steps] = scores - xp.log(xp.exp(scores).sum(axis=2, keepdims=True))
    number, _, places = table.shape
    ends = xp.empty((number, 2, places), x.dtype)
    sizes = (steps, number, x.shape[2], targets.shape[1], blank)
    kernels.ctc.blocks(number, targets, table, ends, losses, delta, *sizes)


def _targets(xp: Any, labels: Any, classes: int, blank: int) -> tuple[Any, Any]:
    """The classes of each sequence, and which labels are none."""
    wrong = ~((labels >= 0) & (labels < classes))
    counts = (xp.trunc(labels) != blank) & ~wrong
    kept = compacted(xp, xp.where(counts, labels, 0).astype(np.int64), counts, labels.shape[1])
    return kept.astype(np.int32), wrong


@host_operation
def target_classes(labels: np.ndarray, classes: int, blank: int) -> tuple[np.ndarray, Any]:
    """The classes of each sequence without blanks, int32 `(N, L)`, followed by -1; and 0, or on a device NaN where a
    label is wrong.

    Raises:
        LayerError: on the host, a label is out of range.
    """
    targets, wrong = _targets(np, labels, classes, blank)
    if wrong.any():
        row, place = (int(index) for index in np.unravel_index(int(wrong.argmax()), wrong.shape))
        raise LayerError(
            f"label {float(labels[row, place]):g}, at place {place} of sequence {row}, is out of range.",
            f"Labels are class indices, 0 to {classes - 1}; a shorter one is filled up with the blank, {blank}.",
        )
    return targets, 0.0


@target_classes.cuda
def target_classes_cuda(kernels: Any, labels: Any, classes: int, blank: int) -> tuple[Any, Any]:
    targets, wrong = _targets(kernels.xp, labels, classes, blank)
    return targets, kernels.xp.where(wrong.any(), np.nan, 0).astype(labels.dtype)
