"""DummyData: tops of given shapes, filled by fillers.

Source: Caffe's `DummyDataLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, KeepsTops, Layer, at_least, fill
from bicerin.schema.installed_schema import schema

_LEGACY_AXES = ("num", "channels", "height", "width")


class DummyDataLayer(KeepsTops, Layer):
    """Each top is filled once if its filler is "constant", else before every forward pass.

    The shapes are those of `shape`, or `(num, channels, height, width)` of the older fields: one for all tops, or one
    for each. So are the fillers; none fills with zeros.
    """

    type = "DummyData"
    counts = BlobCounts(bottom=0, top=at_least(1))

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.dummy_data_param
        fillers = list(param.data_filler)
        if len(fillers) not in (0, 1, len(top)):
            raise ShapeError(
                "Number of data fillers must be 0, 1 or equal to the number of tops: "
                f"{len(fillers)} fillers for {len(top)} tops."
            )
        if not fillers:
            fillers = [schema().FillerParameter(type="constant", value=0)]
        self.fillers: list[Any] = fillers * len(top) if len(fillers) == 1 else fillers
        for blob, shape, filler in zip(top, self._shapes(len(top)), self.fillers, strict=True):
            blob.reshape(*shape)
            if not self.context.shapes_only:
                fill(blob, filler, self.context.random)

    def _shapes(self, tops: int) -> list[tuple[int, ...]]:
        param = self.param.dummy_data_param
        legacy = [list(getattr(param, axis)) for axis in _LEGACY_AXES]
        if not any(legacy):
            self._require_one_or_all("shape", len(param.shape), tops)
            shapes = [tuple(shape.dim) for shape in param.shape]
        else:
            if param.shape:
                raise ShapeError("Both shape and legacy fields were specified.", f"Drop {', '.join(_LEGACY_AXES)}.")
            for axis, values in zip(_LEGACY_AXES, legacy, strict=True):
                self._require_one_or_all(axis, len(values), tops)
            shapes = list(zip(*(values * tops if len(values) == 1 else values for values in legacy), strict=True))
        return shapes * tops if len(shapes) == 1 else shapes

    @staticmethod
    def _require_one_or_all(field: str, given: int, tops: int) -> None:
        if given not in (1, tops):
            raise ShapeError(f"Must specify '{field}' once, or once per top blob: {given} for {tops} tops.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The shapes stand since the set-up."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for blob, filler in zip(top, self.fillers, strict=True):
            if filler.type != "constant":
                fill(blob, filler, self.context.random)
