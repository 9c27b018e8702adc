"""How a solver trains together with those of other processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bicerin.device.device import CPU, Device
from bicerin.errors import ParallelError
from bicerin.parallel.communicator import Communicator

#: What gradients may travel as.
WIRE_TYPES = ("float32", "float16")


@dataclass(frozen=True)
class DataParallel:
    """Given to a `Solver`: with whom it trains, and how. All ranks give the same, but for the communicator.

    Attributes:
        communicator: connects this process with the others.
        global_batch: whether the `batch_size` of the net is that of all ranks together, and divided among them. By
            default it is that of each rank, as in Caffe.
        gradients: "float32", as they are; or "float16": they travel in half precision, scaled by a power of two for
            each bucket, which costs precision and halves what is sent.
        test_on_root: whether rank 0 tests alone, as in Caffe, while the others wait. By default the passes of a test
            are divided among the ranks.
        bucket_bytes: how many bytes of gradients are gathered before they are sent; a parameter that is larger is sent
            alone.
        patience: for how many seconds a rank waits for another that does not move, before all are ended with a message
            that names it; 0 waits for ever. Five times as many until the second step is done, and in the first test of
            each net: nets are built, data opened and kernels compiled meanwhile.

    Raises:
        ParallelError: a value makes no sense.
    """

    communicator: Communicator
    global_batch: bool = False
    gradients: str = "float32"
    test_on_root: bool = False
    bucket_bytes: int = 4 << 20
    patience: float = 60.0

    def __post_init__(self) -> None:
        if self.gradients not in WIRE_TYPES:
            raise ParallelError(f"gradients={self.gradients!r}: gradients travel as {' or '.join(WIRE_TYPES)}.")
        if self.bucket_bytes < 1:
            raise ParallelError(f"bucket_bytes={self.bucket_bytes}: a bucket holds at least one byte.")
        if not self.patience >= 0:
            raise ParallelError(f"patience={self.patience}: it is a number of seconds, or 0 to wait for ever.")

    def device_of_rank(self, device: str | Device) -> str | Device:
        """Another device for each rank on a machine, where no index is given: "gpu" is "gpu:1" on the second."""
        if not isinstance(device, str) or device == CPU.name or ":" in device:
            return device
        return f"{device}:{self.communicator.local_rank}"

    def shared_seed(self, random_seed: int) -> int:
        """A seed that all ranks have: the given one, or where that is negative one that rank 0 draws; called on all."""
        drawn = int(np.random.SeedSequence().generate_state(1)[0]) if random_seed < 0 else random_seed
        return int(self.communicator.share(str(drawn).encode()))

    @property
    def rank(self) -> int:
        return self.communicator.rank

    @property
    def size(self) -> int:
        return self.communicator.size
