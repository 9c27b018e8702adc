"""Write scalars, histograms, images and the graph to a folder, for TensorBoard."""

from __future__ import annotations

from bicerin_tensorboard.tensorboard import TensorBoard


def hooks(directory: str) -> TensorBoard:
    """What `bicerin train --tensorboard DIRECTORY` watches the training with."""
    return TensorBoard(directory)
