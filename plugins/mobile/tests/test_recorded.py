"""Results that forks computed on the CPU: jolibrain's BroadcastMul and Interp; BN by yjxiong and by weiliu89's fcn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bicerin.testing import check_recorded, recorded_cases


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", recorded_cases(Path(__file__).parent / "recorded"), ids=lambda path: path.stem)
def test_recorded(case: Path, dtype: type, device: str) -> None:
    check_recorded(case, dtype=dtype, device=device)
