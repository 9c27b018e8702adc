"""HDF5Output: writes its bottoms to an HDF5 file.

Source: Caffe's `HDF5OutputLayer`.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from pathlib import Path

from bicerin.errors import DataError, ShapeError
from bicerin.layer import Blob, BlobCounts, HasExample, Layer
from bicerin_data.hdf5_writer import Hdf5Writer
from bicerin_proto import printable

_log = logging.getLogger("bicerin.data")


class HDF5OutputLayer(HasExample, Layer):
    """Bottom 0 goes to the dataset "data", bottom 1 to "label", each as (N, C, H, W); every forward pass adds its rows.

    The file has a temporary name until `close`, which is called when the layer is no longer used and at the end of the
    process: a file named `file_name` is always complete.
    """

    type = "HDF5Output"
    example = """
        layer {
          name: "in" type: "Input" top: "features" top: "label"
          input_param { shape { dim: 16 dim: 64 } shape { dim: 16 } }
        }
        layer {
          name: "out" type: "HDF5Output" bottom: "features" bottom: "label"
          hdf5_output_param { file_name: "features.h5" }
        }
        """
    counts = BlobCounts(bottom=2, top=0)
    runs_on = "host"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        name = self.param.hdf5_output_param.file_name
        if not name:
            raise DataError("hdf5_output_param gives no file_name.")
        self._output = Hdf5Writer(Path(name))
        self._finalizer = weakref.finalize(self, self._output.finish)
        _log.info(
            'layer "%s": %s gets its name when it is complete: with net.close(), or at the end of the process.',
            self.name, printable(name),
        )  # fmt: skip

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num != bottom[1].num:
            raise ShapeError(
                f"data and label should have the same first dimension: {bottom[0].shape} against {bottom[1].shape}."
            )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        rows = {}
        for name, blob in zip(("data", "label"), bottom, strict=True):
            rows[name] = blob.data.reshape(blob.num, blob.channels, blob.height, blob.width)
        self._output.append(rows)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Nothing comes back from a file."""

    def close(self) -> None:
        """Give the file its name. Rows of a forward pass after that are an error."""
        self._finalizer()
