"""Fields that parse, since some plugin brings them, and that nothing here honours: an error for scripts too."""

from __future__ import annotations

from pathlib import Path

import pytest

import caffe

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } } '


def test_solvers_of_scripts_written_for_caffe(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(INPUT)
    solver = tmp_path / "solver.prototxt"
    solver.write_text(f'net: "{net}" base_lr: 1 lr_policy: "fixed" disabled_update: true')
    for make in (caffe.SGDSolver, caffe.get_solver):
        monkeypatch.delenv("BICERIN_IGNORE_UNKNOWN_OPTIONS", raising=False)
        with pytest.raises(RuntimeError, match="BICERIN_IGNORE_UNKNOWN_OPTIONS=1"):
            make(str(solver))
        monkeypatch.setenv("BICERIN_IGNORE_UNKNOWN_OPTIONS", "1")
        caplog.clear()
        make(str(solver))
        said = [record.message for record in caplog.records if "ignored, since" in record.message]
        assert len(said) == 1 and said[0].endswith(": disabled_update (of bicerin-forks)")
