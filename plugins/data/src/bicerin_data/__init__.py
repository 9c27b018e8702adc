"""Layers that read data: LMDB, LevelDB, HDF5, images, memory."""
