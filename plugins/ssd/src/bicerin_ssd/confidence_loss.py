"""Losses of class scores: softmax, over all classes of a box, or logistic, of each class by itself."""

from __future__ import annotations

import numpy as np

#: No probability is taken to be less.
LEAST = float(np.finfo(np.float32).tiny)


def softmax_loss(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-log p(label) of each row, with p at least the least float32: shape (R,); and the probabilities, shape (R, C).

    Args:
        scores: shape (R, C).
        labels: int64, shape (R,).
    """
    probability = scores - scores.max(axis=1, keepdims=True)
    np.exp(probability, out=probability)
    probability /= probability.sum(axis=1, keepdims=True)
    chosen = np.take_along_axis(probability, labels[:, None], axis=1)[:, 0]
    return -np.log(np.maximum(chosen, LEAST)), probability


def logistic_loss(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Sigmoid cross-entropy of each row, summed over its classes: shape (R,).

    Args:
        scores, targets: shape (R, C).
    """
    losses = np.maximum(scores, 0) - scores * targets + np.log1p(np.exp(-np.abs(scores)))
    return np.asarray(losses.sum(axis=1))


def sigmoid(scores: np.ndarray) -> np.ndarray:
    # tanh cannot overflow.
    return 0.5 * np.tanh(0.5 * scores) + 0.5
