"""Fields that parse, since some plugin brings them, and that nothing here uses: scripts are warned of them too."""

from __future__ import annotations

from pathlib import Path

import pytest

import caffe

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } } '
IGNORED = "ignored, since what would use it is not installed"


def test_solvers_of_scripts_written_for_caffe(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(INPUT)
    solver = tmp_path / "solver.prototxt"
    solver.write_text(f'net: "{net}" base_lr: 1 lr_policy: "fixed" warmup_iter: 100')
    for make in (caffe.SGDSolver, caffe.get_solver):
        caplog.clear()
        make(str(solver))
        said = [record.message for record in caplog.records if IGNORED in record.message]
        assert said == [f"{solver}: {IGNORED}: warmup_iter (of bicerin-forks)"]
