"""HDF5Output: writes its bottoms to an HDF5 file. Source: Caffe's `HDF5OutputLayer`."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import weakref
from collections.abc import Sequence
from pathlib import Path

from bicerin.blob import Blob
from bicerin.errors import DataError, ShapeError
from bicerin.layer import BlobCounts, Layer
from bicerin_data.hdf5_file import h5py

_log = logging.getLogger("bicerin.data")


class HDF5OutputLayer(Layer):
    """Bottom 0 goes to the dataset "data", bottom 1 to "label", each as (N, C, H, W); every forward pass adds its rows.

    The file has a temporary name until `close`, which is called when the layer is no longer used and at the end of the
    process: a file named `file_name` is always complete.
    """

    type = "HDF5Output"
    counts = BlobCounts(bottom=2, top=0)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        name = self.param.hdf5_output_param.file_name
        if not name:
            raise DataError("hdf5_output_param gives no file_name.")
        self._output = _Output(Path(name))
        self._finalizer = weakref.finalize(self, self._output.finish)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num != bottom[1].num:
            raise ShapeError(
                f"data and label should have the same first dimension: {bottom[0].shape} against {bottom[1].shape}."
            )

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        rows = {}
        for name, blob in zip(("data", "label"), bottom, strict=True):
            rows[name] = blob.cpu_data.reshape(blob.num, blob.channels, blob.height, blob.width)
        self._output.append(rows)

    forward_gpu = forward_cpu

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Nothing comes back from a file."""

    backward_gpu = backward_cpu

    def close(self) -> None:
        """Give the file its name. Rows of a forward pass after that are an error."""
        self._finalizer()


class _Output:
    """The file; knows nothing of the layer, so that it can be finished when the layer is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            self._file = h5py().File(self._temporary, "w")
        except OSError as error:
            raise DataError(f"Failed to open HDF5 file {path} to write it: {error}") from None
        self._whole = True

    def append(self, rows: dict) -> None:
        if not self._file:
            raise DataError(f"{self.path} is complete and closed.", "Build the net anew to write another file.")
        for name, array in rows.items():
            if name in self._file and self._file[name].shape[1:] != array.shape[1:]:
                raise ShapeError(
                    f'{self.path}: a row of "{name}" has the shape {array.shape[1:]}, but those before it '
                    f"{self._file[name].shape[1:]}."
                )
        self._whole = False
        try:
            for name, array in rows.items():
                if name not in self._file:
                    shape = array.shape
                    self._file.create_dataset(name, (0, *shape[1:]), array.dtype, maxshape=(None, *shape[1:]))
                dataset = self._file[name]
                begin = dataset.shape[0]
                dataset.resize(begin + array.shape[0], axis=0)
                dataset[begin:] = array
        except (OSError, RuntimeError) as error:
            raise DataError(f"{self.path} cannot be written: {error}") from None
        self._whole = True

    def finish(self) -> None:
        """Close the file and give it its name; throw it away if a write failed half-way."""
        try:
            self._file.close()
            if self._whole:
                os.replace(self._temporary, self.path)
                return
        except (OSError, RuntimeError) as error:
            _log.error("%s cannot be written: %s", self.path, error)
        with contextlib.suppress(OSError):
            self._temporary.unlink()
