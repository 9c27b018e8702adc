"""Phase: whether a net is built to train or to test."""

from __future__ import annotations

from enum import IntEnum

from bicerin.errors import NetError


class Phase(IntEnum):
    """Equal to Caffe's enum, so `phase=0` and `caffe_pb2.TRAIN` work as well."""

    TRAIN = 0
    TEST = 1

    def __str__(self) -> str:
        """The name, which Python layers look their settings up by."""
        return self.name

    @classmethod
    def of(cls, value: Phase | int | str) -> Phase:
        """The phase that a member, Caffe's number, or the name in any case stands for."""
        try:
            return cls[value.upper()] if isinstance(value, str) else cls(value)
        except (KeyError, ValueError):
            is_file = isinstance(value, str) and value.endswith((".caffemodel", ".h5"))
            hint = f" Weights are given by name: weights={value!r}." if is_file else ""
            raise NetError(f"phase {value!r} is neither TRAIN (0) nor TEST (1).{hint}") from None


TRAIN = Phase.TRAIN
TEST = Phase.TEST
