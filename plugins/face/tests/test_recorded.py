"""Results that the forks computed: CenterLoss by ydwen/caffe-face, MarginInnerProduct by wy1iu/sphereface, all others
and CenterLoss_happynear_* by happynear/caffe-windows; FocalLoss_frcnn_* by makefile/frcnn, FocalLoss_dd_* by
jolibrain/caffe.

The same text means different things to these forks in two layers. There a field says which, that the file has not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bicerin.testing import check_recorded, recorded_cases

SAYS = {
    "CenterLoss_happynear": ("center_loss_param {", "center_loss_param { once_an_item: true"),
    "FocalLoss_frcnn": ("focal_loss_param {", "focal_loss_param { balanced: true"),
    "FocalLoss_dd": ("focal_loss_param {", "focal_loss_param { balanced: true"),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", recorded_cases(Path(__file__).parent / "recorded"), ids=lambda path: path.stem)
def test_recorded(case: Path, dtype: type, device: str, tmp_path: Path) -> None:
    fork = case.stem.rpartition("_")[0]
    if fork in SAYS:
        with np.load(case) as file:
            values = dict(file)
        values["net"] = np.array(str(values["net"]).replace(*SAYS[fork]))
        case = tmp_path / case.name
        np.savez(case, **values)
    check_recorded(case, dtype=dtype, device=device)
