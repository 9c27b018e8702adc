"""What a layer knows of the world that it runs in, besides its own parameters and blobs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bicerin.device.device import CPU, Device
from bicerin.layer.phase import Phase


@dataclass(frozen=True)
class Context:
    """Given to a layer when it is made.

    Attributes:
        phase: TRAIN or TEST; a layer's own `phase` field, which the net fills in, is the same.
        device: the device that the net is bound to.
        dtype: of every blob of the net, float32 or float64.
        random: the layer's own generator: the only source of randomness a layer may use. Its seed comes from the
            solver's `random_seed` and the layer's place in the net.
        directory: the folder of the prototxt; None for a net from text.
        location: "file:line" of the layer, where known.
        net_name: the net's name.
        strict_device: whether a layer without an implementation for the device is an error.
        skip_bad_records: whether a data layer replaces a record it cannot read instead of stopping.
        shapes_only: whether the layer will never run: it is set up to ask for shapes, and nothing need be filled.
        rank, replicas: which one of several solvers that train together this net belongs to, and of how many.
    """

    phase: Phase = Phase.TRAIN
    device: Device = CPU
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float32))
    random: np.random.Generator = field(default_factory=np.random.default_rng)
    directory: Path | None = None
    location: str | None = None
    net_name: str = ""
    strict_device: bool = False
    skip_bad_records: bool = False
    shapes_only: bool = False
    rank: int = 0
    replicas: int = 1

    def resolve(self, path: str) -> Path:
        """A file that a prototxt names: as it is (from the working directory, as Caffe does) or beside the prototxt.

        Where neither exists the first is returned, for the caller's error to name.
        """
        plain = Path(path)
        # Unlike `Path.exists`, `os.path.exists` takes any text.
        if not plain.is_absolute() and self.directory is not None and not os.path.exists(plain):
            beside = self.directory / plain
            if os.path.exists(beside):
                return beside
        return plain
