"""How many images a training step takes."""

from __future__ import annotations

from typing import Any

from bicerin.net.batch_size import batch_size


def images_per_step(solver: Any) -> int:
    """The number of images between two updates of the weights, of all ranks that train together."""
    ranks = solver.parallel.size if solver.parallel is not None else 1
    return ranks * batch_size(solver.net) * max(1, solver.param.iter_size)
