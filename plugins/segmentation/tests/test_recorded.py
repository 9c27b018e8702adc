"""Results that the forks computed: UnPooling, ParseOutput and ParseEvaluate by weiliu89/caffe, branch fcn, Unpooling by
HyeonwooNoh/caffe, DiceCoefLoss by jolibrain/caffe, MultiStageMeanfield by bittnt/caffe.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bicerin.testing import check_recorded, recorded_cases


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", recorded_cases(Path(__file__).parent / "recorded"), ids=lambda path: path.stem)
def test_recorded(case: Path, dtype: type, device: str) -> None:
    check_recorded(case, dtype=dtype, device=device)
