"""Five batches of each store, in TEST, against those that Caffe 1.0 read (`tests/recorded/batches`)."""

from pathlib import Path

import numpy as np
import pytest

import bicerin
from bicerin.testing import check_recorded, recorded_cases

RECORDED = Path(__file__).parent / "recorded"
CASES = sorted(path.parent for path in RECORDED.glob("batches/*/batches.npz"))


def test_all_cases_are_here():
    assert len(CASES) == 10


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_batches_of_a_store(case, tmp_path, monkeypatch, device):
    monkeypatch.chdir(tmp_path)
    net = bicerin.Net(case / "net.prototxt", phase="TEST", device=device)
    with np.load(case / "batches.npz") as expected:
        for number in range(5):
            net.forward()
            for top in {key.partition(":")[0] for key in expected.files}:
                batch = expected[f"{top}:{number}"]
                assert net.blobs[top].shape == batch.shape
                np.testing.assert_allclose(net.blobs[top].data, batch, rtol=1e-6, err_msg=f"{top}, batch {number}")


@pytest.mark.parametrize("case", recorded_cases(RECORDED), ids=lambda case: case.stem)
def test_layer(case, device):
    check_recorded(case, device=device)
