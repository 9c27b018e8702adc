"""Run by several ranks: trains with each solver type, and writes the weights that each rank has.

Arguments: the file to write, without its ending; what gradients travel as; the types, each with a file of its name.
"""

from __future__ import annotations

import sys

import numpy as np

import bicerin
from bicerin.parallel import DataParallel, connect


def main(output: str, gradients: str, types: list[str]) -> None:
    communicator = connect("mpi")
    # Small buckets, so that there are several.
    parallel = DataParallel(communicator, gradients=gradients, bucket_bytes=300)
    weights = {}
    for name in types:
        solver = bicerin.Solver(f"{name}.prototxt", dtype=np.float64, parallel=parallel)
        solver.step(6)
        for blob in solver.net.learnable_params:
            weights[f"{name} {blob.name}"] = blob.data.copy()
        weights[f"{name} loss"] = np.array(solver.loss)
        solver.net.close()
    np.savez(f"{output}{communicator.rank}.npz", **weights)
    communicator.close()


main(sys.argv[1], sys.argv[2], sys.argv[3:])
