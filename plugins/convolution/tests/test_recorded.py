"""Caffe 1.0's own results."""

from __future__ import annotations

from pathlib import Path

import pytest

from bicerin.testing import check_recorded, recorded_cases


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", recorded_cases(Path(__file__).parent / "recorded"), ids=lambda case: case.stem)
def test_case(case: Path, dtype: str, device: str) -> None:
    check_recorded(case, dtype=dtype, device=device)
