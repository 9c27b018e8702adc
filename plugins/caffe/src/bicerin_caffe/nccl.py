"""`caffe.NCCL`, which is not there: as in a pycaffe that was built without it."""

from __future__ import annotations

from typing import Any, NoReturn

from bicerin.errors import DeviceError


def has_nccl() -> bool:
    """Whether solvers can train together through NCCL."""
    return False


class NCCL:
    """Raises a `DeviceError`, a RuntimeError, whatever is asked of it."""

    def __init__(self, solver: Any, uid: Any) -> None:
        _absent()

    @staticmethod
    def new_uid() -> NoReturn:
        _absent()


def _absent() -> NoReturn:
    raise DeviceError("there is no NCCL here: caffe.has_nccl() is False. Solvers run by themselves.")
