"""Run by several ranks: uses everything that the communicator has. With an argument, rank 1 fails then."""

import sys

from bicerin.parallel import connect
from bicerin.testing import check_communicator

communicator = connect("mpi")
check_communicator(communicator)
if communicator.rank == 0:
    print(f"{communicator} is all right")
if sys.argv[1:] and communicator.rank == 1:
    raise ValueError(sys.argv[1])
communicator.all_gather(b"")
