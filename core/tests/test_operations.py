"""Operations of a layer, as it calls them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from bicerin.device.device import CPU
from bicerin.kernels import array_operation
from bicerin.layer.operations import Operations


@array_operation
def leak(xp: Any, x: Any, y: Any) -> None:
    xp.multiply(x, 0.1, out=y)


def test_an_operation_that_is_not_there_is_told_with_those_that_are() -> None:
    operations = Operations("leak_kernels")
    operations.__dict__["all"] = {"leak": leak}
    ops = operations.on(CPU, np.dtype("float32"))
    for same in (ops, copy.copy(ops)):
        y = np.empty(2)
        same.leak(np.ones(2), y)
        assert np.allclose(y, 0.1)
        with pytest.raises(AttributeError, match=r'no operation "leek"; those of the layer\'s modules: leak$'):
            _ = same.leek
        assert not hasattr(same, "leek")
