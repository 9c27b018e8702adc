"""bicerin-mpi: several processes train and test one net together, connected by MPI."""

__version__ = "0.1.0"
