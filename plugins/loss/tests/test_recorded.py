"""Against what Caffe 1.0 computed, and with class weights what SegNet's fork did."""

from pathlib import Path

import numpy as np
import pytest

from bicerin.testing import check_recorded, recorded_cases

CASES = recorded_cases(Path(__file__).parent / "recorded")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_recorded(case: Path, dtype: type, device: str) -> None:
    check_recorded(case, dtype=dtype, device=device)
