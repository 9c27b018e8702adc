"""Snapshots: who may write them, what they hold, and those that are damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_solver import BASE, NET, TESTED, fill, solver, weights

import bicerin
import bicerin_proto
from bicerin.errors import (
    DecodeError,
    SnapshotError,
    SolverError,
    WeightsError,
)
from bicerin.solver.snapshot_claim import SnapshotClaim
from bicerin.solver.state import read_state, write_state
from bicerin_proto import wire


@pytest.fixture(autouse=True)
def _layers(provided, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here uses the layers of conftest, and works in a folder of its own with net.prototxt."""
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)


class TestSnapshotClaims:
    def claim(self, folder: Path) -> SnapshotClaim:
        return SnapshotClaim(folder / "run")

    def test_another_run_is_told_of(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        program = (
            "import sys, pathlib\n"
            "from bicerin.solver.snapshot_claim import SnapshotClaim\n"
            "claim = SnapshotClaim(pathlib.Path(sys.argv[1]) / 'run')\n"
            "print('claimed', flush=True)\n"
            "sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", program, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "claimed\n"
            self.claim(tmp_path)
            assert f"snapshots of {tmp_path / 'run'}: process {other.pid} on " in caplog.text
            caplog.clear()
            SnapshotClaim(tmp_path / "other")
            assert not caplog.text
            other.kill()
        self.claim(tmp_path)
        assert not caplog.text, "whoever was killed holds nothing"
        assert os.listdir(tmp_path) == ["net.prototxt"]

    def test_a_solver_that_was_made_before_is_no_other_run(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = self.claim(tmp_path), self.claim(tmp_path)
        assert first is not second and not caplog.text

    def test_a_training_claims_and_clears_away(self) -> None:
        rest = Path(f".run_iter_1.caffemodel.{2**22 + 1}.0123abcd.tmp")
        rest.write_bytes(b"half")
        made = fill(solver("snapshot: 2"))
        assert rest.exists() and not Path(".run.running").exists()
        made.step(1)
        assert Path(".run.running").read_text().startswith(f"process {os.getpid()} on ")
        assert not rest.exists()

    def test_no_snapshots_no_claim(self) -> None:
        fill(solver("snapshot_after_train: false")).step(1)
        assert not Path(".run.running").exists()

    @pytest.mark.parametrize("reads", [0, 2])
    def test_data_that_ends_saves_what_was_learned(self, reads: int) -> None:
        made = fill(solver())
        made.add_callback(lambda: self.fail() if made.iteration == reads else None, lambda: None)
        with pytest.raises(bicerin.DataError):
            made.step(5)
        assert [path.name for path in Path().glob("*.solverstate")] == [f"run_iter_{reads}.solverstate"][:reads]

    def fail(self) -> None:
        raise bicerin.DataError("the disk is gone")


class TestSnapshots:
    @pytest.mark.parametrize("snapshot_format", ["BINARYPROTO", "HDF5"])
    @pytest.mark.parametrize("name", ["SGD", "AdaDelta"])
    def test_resuming_is_exact(self, name: str, snapshot_format: str) -> None:
        text = (
            f'type: "{name}" snapshot: 3 snapshot_format: {snapshot_format} average_loss: 4 {TESTED}'
            'lr_policy: "multistep" gamma: 0.5 stepvalue: 1 stepvalue: 2 stepvalue: 4'
        )
        base = BASE.replace('lr_policy: "fixed"', "")
        whole = fill(solver(text, base=base))
        whole.solve()
        suffix = ".h5" if snapshot_format == "HDF5" else ""
        resumed = fill(solver(text, base=base.replace("random_seed: 3", "random_seed: 5")))
        resumed.solve(f"run_iter_3.solverstate{suffix}")
        assert weights(resumed) == weights(whole)
        assert resumed.loss == whole.loss
        assert resumed.current_step == whole.current_step == 3

    def test_the_file_is_caffes(self) -> None:
        made = fill(solver('type: "Adam"'))
        made.step(2)
        path = made.snapshot()
        data = path.read_bytes()
        state = bicerin_proto.SolverState.FromString(data)
        assert (state.iter, state.learned_net, state.current_step) == (2, "run_iter_2.caffemodel", 0)
        assert [tuple(blob.shape.dim) for blob in state.history] == [(3,)] * 4
        assert list(state.history[2].data) == made.history[2].data.tolist()
        numbers = {entry.number for entry in wire.fields(data)}
        assert numbers == {1, 2, 3, 4, 8266700}, "Caffe's four fields, and one that it skips"

    def test_the_hdf5_file_is_caffes(self) -> None:
        import h5py

        made = fill(solver("snapshot_format: HDF5"))
        made.step(1)
        path = made.snapshot()
        assert path.name == "run_iter_1.solverstate.h5"
        with h5py.File(path) as file:
            assert (file["iter"].shape, file["iter"].dtype, int(file["iter"][0])) == ((1,), np.int32, 1)
            assert file["learned_net"].dtype.kind == "S"
            # Caffe reads up to a zero byte.
            assert file["learned_net"].dtype.itemsize == len("run_iter_1.caffemodel.h5") + 1
            assert file["learned_net"][()] == b"run_iter_1.caffemodel.h5"
            assert file["history/1"][...].tolist() == made.history[1].data.tolist()

    def test_moved_files_are_found_again(self, tmp_path: Path) -> None:
        made = fill(solver())
        made.step(1)
        made.snapshot()
        other = tmp_path / "other"
        other.mkdir()
        for file in list(tmp_path.glob("run_iter_1.*")):
            file.rename(other / file.name)
        again = solver()
        again.restore(other / "run_iter_1.solverstate")
        assert weights(again) == weights(made)
        (other / "run_iter_1.caffemodel").unlink()
        with pytest.raises(SnapshotError, match=r"its weights are missing: neither .*other/run_iter_1.caffemodel nor"):
            again.restore(other / "run_iter_1.solverstate")

    def test_snapshot_diff(self) -> None:
        made = fill(solver("snapshot_diff: true"))
        made.step(1)
        made.snapshot()
        net = bicerin_proto.NetParameter.FromString(Path("run_iter_1.caffemodel").read_bytes())
        assert [list(layer.blobs[0].diff) for layer in net.layer if layer.blobs] == [
            made.net.params["a"][0].diff.tolist()
        ]

    @pytest.mark.parametrize(
        ("more", "iterations"),
        [("", [6]), ("snapshot: 4", [4, 6]), ("snapshot: 3", [3, 6]), ("snapshot_after_train: false", [])],
    )
    def test_when(self, more: str, iterations: list[int]) -> None:
        fill(solver(more)).solve()
        assert sorted(Path().glob("*.solverstate")) == [Path(f"run_iter_{i}.solverstate") for i in iterations]

    def test_refuses_another_type(self) -> None:
        path = solver().snapshot()
        with pytest.raises(SnapshotError, match="a snapshot of the solver SGD, and this one is Nesterov"):
            solver('type: "Nesterov"').restore(path)

    def test_refuses_another_number_of_histories(self) -> None:
        """As in a file that Caffe wrote, which does not say its type."""
        state = bicerin_proto.SolverState(iter=1)
        bicerin_proto.array_blob(np.zeros(3, np.float32), into=state.history.add())
        Path("caffe.solverstate").write_bytes(state.SerializeToString())
        with pytest.raises(SnapshotError, match="Incorrect length of history blobs: it holds 1, and the solver Adam"):
            solver('type: "Adam"').restore("caffe.solverstate")

    def test_refuses_other_shapes_and_changes_nothing(self) -> None:
        path = fill(solver()).snapshot()
        wider = solver(net=f"net_param {{ {NET.replace('dim: 3', 'dim: 5')} }}")
        before = weights(wider)
        with pytest.raises(SnapshotError, match=r"history 0 of a\[0\] has the shape \(3,\) there and \(5,\) here"):
            wider.restore(path)
        wider.net.save("run_iter_0.caffemodel")
        made = solver()
        with pytest.raises(WeightsError, match="shape mismatch"):
            made.restore(path)
        assert (weights(wider), weights(made)) == (before, weights(solver()))

    @pytest.mark.parametrize("cut", [10, -10])
    def test_a_damaged_state(self, cut: int) -> None:
        path = fill(solver()).snapshot()
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises((DecodeError, SnapshotError), match=r"run_iter_0\.solverstate"):
            solver().restore(path)

    def test_extra_that_is_no_json(self) -> None:
        state = bicerin_proto.SolverState(iter=1).SerializeToString()
        extra = wire.tag(8266700, wire.LENGTH) + b"\x03abc"
        Path("bad.solverstate").write_bytes(state + extra)
        with pytest.raises(SnapshotError, match="is damaged"):
            solver().restore("bad.solverstate")

    @pytest.mark.parametrize(("net", "words"), [
        (b"[]", "layers is damaged: a list, not a state for each layer"), (b'{"7:q": {}}', "net does not have: 7:q"),
    ])  # fmt: skip
    def test_states_of_layers_that_are_none(self, net: bytes, words: str) -> None:
        text = b'{"net": %s}' % net
        state = bicerin_proto.SolverState(iter=1).SerializeToString()
        Path("bad.solverstate").write_bytes(state + wire.tag(8266700, wire.LENGTH) + bytes([len(text)]) + text)
        with pytest.raises(SnapshotError, match=words):
            solver().restore("bad.solverstate")

    def test_weights_are_no_state(self) -> None:
        solver().snapshot()
        with pytest.raises(SnapshotError, match=r"not a solver state. Resuming takes a .solverstate file"):
            solver().restore("run_iter_0.caffemodel")
        with pytest.raises(SnapshotError, match=r"the solver state cannot be read: nowhere\.solverstate"):
            solver().restore("nowhere.solverstate")

    def test_the_extra_holds_what_caffes_format_has_no_room_for(self) -> None:
        made = fill(solver(TESTED))
        made.step(1)
        data = made.snapshot().read_bytes()
        (entry,) = (field for field in wire.fields(data) if field.number == 8266700)
        extra = json.loads(data[entry.begin : entry.end])
        assert extra["type"] == "SGD"
        assert extra["losses"] == [made.loss]
        assert any("noise" in name for name in extra["net"])
        assert len(extra["test_nets"]) == 1

    def test_a_prefix_that_cannot_be_written_is_found_at_the_start(self) -> None:
        with pytest.raises(SolverError, match=r"Cannot write to snapshot prefix 'missing/run'.*exists and is writable"):
            bicerin.Solver(BASE + "net: 'net.prototxt' snapshot: 1 snapshot_prefix: 'missing/run'")
        with pytest.raises(SolverError, match="snapshot is specified but snapshot_prefix is not"):
            bicerin.Solver(BASE + "net: 'net.prototxt' snapshot: 1")

    def test_no_prefix_at_all(self, caplog: pytest.LogCaptureFixture) -> None:
        made = fill(bicerin.Solver(BASE + "net: 'net.prototxt'"))
        made.solve()
        assert "no snapshot_prefix: the trained weights are not saved" in caplog.text
        with pytest.raises(SnapshotError, match="snapshot_prefix is not"):
            made.snapshot()

    def test_a_snapshot_that_cannot_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = fill(solver())
        monkeypatch.setattr(made.net.layer("noise"), "state", lambda: {"random": object()})
        with pytest.raises(
            SnapshotError, match="the snapshot of iteration 0 was not written: object in a layer's state"
        ):
            made.snapshot()
        assert not list(Path().glob("*.solverstate"))


class TestDamagedSnapshots:
    """A state that cannot be restored changes nothing."""

    @pytest.mark.parametrize(
        "extra",
        [
            {"losses": 3},
            {"losses": ["x"]},
            {"net": []},
            {"net": {"99:gone": {"random": 1}}},
            {"test_nets": 1},
        ],
    )
    @pytest.mark.parametrize("snapshot_format", ["BINARYPROTO", "HDF5"])
    def test_the_solver_is_as_it_was(self, snapshot_format: str, extra: dict) -> None:
        made = fill(solver(f"snapshot_format: {snapshot_format}"))
        made.step(1)
        path = made.snapshot()
        state = read_state(path)
        assert state.extra is not None
        write_state(replace(state, iteration=7, extra={**state.extra, **extra}), path)
        made.step(1)
        before = weights(made), made.iteration, [blob.data.copy() for blob in made._history], made.loss
        with pytest.raises(SnapshotError):
            made.restore(path)
        assert (weights(made), made.iteration, made.loss) == (before[0], before[1], before[3])
        assert all((blob.data == values).all() for blob, values in zip(made._history, before[2], strict=True))

    def test_a_negative_iteration_is_refused(self) -> None:
        made = fill(solver(""))
        path = made.snapshot()
        write_state(replace(read_state(path), iteration=-1), path)
        with pytest.raises(SnapshotError, match="iteration -1"):
            made.restore(path)

    @pytest.mark.parametrize("snapshot_format", ["BINARYPROTO", "HDF5"])
    def test_a_cut_file_is_an_error_that_names_it(self, snapshot_format: str) -> None:
        made = fill(solver(f"snapshot_format: {snapshot_format}"))
        path = made.snapshot()
        whole = path.read_bytes()
        for share in (0.1, 0.5, 0.9):
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(bicerin.BicerinError, match=path.name):
                made.restore(path)
