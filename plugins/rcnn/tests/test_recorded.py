"""Results that the forks computed: ROIPooling by Fast R-CNN's (forward only), SmoothL1Loss by SSD's.

ROIPooling_pixels and ROIPooling_relative* are by jolibrain/caffe, both passes. Its spatial_scale is -1 where none is
given, which the relative ones write out; Fast R-CNN's is 1, and so is ours. ROIAlign_* (both passes), PSROIAlign_*,
PSROIPooling_* and DecodeBBox_* (forward only) are by makefile/frcnn, Proposal_* by sanghoon/caffe, branch dev_pvanet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bicerin.testing import check_recorded, recorded_cases


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", recorded_cases(Path(__file__).parent / "recorded"), ids=lambda path: path.stem)
def test_recorded(case: Path, dtype: type) -> None:
    check_recorded(case, dtype=dtype)
