"""How processes are started is the user's to choose, at any time: Bicerin settles it neither on import nor later."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys

import pytest

PROGRAM = """
import multiprocessing
{before}
from bicerin.kernels import spread
print(multiprocessing.get_start_method(allow_none=True))
multiprocessing.set_start_method({method!r}, force={force})
print(multiprocessing.get_start_method())
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("chosen", [False, True])
def test_kernels_leave_the_start_method_open(method: str, chosen: bool) -> None:
    before = f"multiprocessing.set_start_method({method!r})" if chosen else ""
    program = PROGRAM.format(before=before, method=method, force=chosen)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == [method if chosen else "None", method], done.stderr
