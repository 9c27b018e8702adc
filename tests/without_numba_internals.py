"""Run pytest where the inner parts of Numba cannot be used: `python tests/without_numba_internals.py ARGUMENTS`."""

from __future__ import annotations

import sys

import pytest
from numba.np.ufunc import parallel

del parallel._launch_threads

from bicerin.kernels import COMPILED, WITH_PANELS  # noqa: E402

if __name__ == "__main__":
    assert COMPILED and not WITH_PANELS
    sys.exit(pytest.main(sys.argv[1:]))
