"""`caffe.Solver` and its siblings."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caffe

pytestmark = pytest.mark.usefixtures("on_the_device")

CLASSES = {
    "SGD": caffe.SGDSolver,
    "Nesterov": caffe.NesterovSolver,
    "AdaGrad": caffe.AdaGradSolver,
    "RMSProp": caffe.RMSPropSolver,
    "AdaDelta": caffe.AdaDeltaSolver,
    "Adam": caffe.AdamSolver,
}
#: What each rule's own checks ask for, in place of the momentum 0.9.
MORE = {
    "AdaGrad": "momentum: 0",
    "RMSProp": "momentum: 0 rms_decay: 0.98",
    "AdaDelta": "momentum: 0.95 delta: 1e-6",
    "Adam": "momentum2: 0.999",
}


@pytest.fixture
def solver(solver_file: Any) -> caffe.SGDSolver:
    made = caffe.SGDSolver(solver_file())
    for net in (made.net, made.test_nets[0]):
        net.blobs["label"].data[...] = np.arange(5).reshape(5, 1, 1, 1)
    return made


def solver_text(kind: str, solver_file: Any) -> str:
    path = solver_file(f'type: "{kind}"')
    text = Path(path).read_text()
    if "momentum:" in MORE.get(kind, ""):
        text = text.replace("momentum: 0.9", "")
    Path(path).write_text(text + MORE.get(kind, ""))
    return path


@pytest.mark.parametrize("kind", CLASSES)
def test_every_rule_by_its_class_and_by_get_solver(kind: str, solver_file: Any) -> None:
    path = solver_text(kind, solver_file)
    for solver in (caffe.get_solver(path), CLASSES[kind](path)):
        assert type(solver) is CLASSES[kind] and isinstance(solver, caffe.Solver)
        weights = solver.net.params["ip"][0].data.copy()
        solver.step(2)
        assert solver.iter == 2
        assert (solver.net.params["ip"][0].data != weights).any()


def test_solve_runs_to_max_iter(solver: Any) -> None:
    assert solver.iter == 0
    solver.solve()
    assert solver.iter == 100


def test_solve_takes_none_for_no_snapshot(solver: Any) -> None:
    solver.param.max_iter = 1
    solver.solve(None)
    assert solver.iter == 1


def test_apply_update_subtracts_the_rate_times_the_gradient(solver: Any) -> None:
    blob = solver.net.layers[1].blobs[0]
    blob.data[...] = 0
    blob.diff[...] = 1
    solver.apply_update()
    np.testing.assert_allclose(blob.data, -0.01, rtol=1e-5)


def test_nets_outlive_their_solver(solver_file: Any) -> None:
    solver = caffe.SGDSolver(solver_file())
    nets = [solver.net, *solver.test_nets]
    del solver
    gc.collect()
    assert len(nets) == 2
    assert all(np.isfinite(blob.data).all() for net in nets for blob in net.blobs.values())


def test_net_and_test_nets_are_nets(solver: Any) -> None:
    assert isinstance(solver.net, caffe.Net) and solver.net is solver.net
    assert [type(net) for net in solver.test_nets] == [caffe.Net]
    assert solver.test_nets[0].forward().keys() == {"loss"}


def test_snapshot_and_restore(solver: Any, solver_file: Any, tmp_path: Path) -> None:
    solver.step(3)
    solver.snapshot()
    assert {path.name for path in tmp_path.glob("model_iter_3.*")} == {
        "model_iter_3.caffemodel",
        "model_iter_3.solverstate",
    }
    other = caffe.SGDSolver(solver_file())
    other.restore(str(tmp_path / "model_iter_3.solverstate"))
    assert other.iter == 3
    assert (other.net.params["ip"][0].data == solver.net.params["ip"][0].data).all()
    other.param.max_iter = 5
    other.solve(str(tmp_path / "model_iter_3.solverstate"))
    assert other.iter == 5


def test_share_weights(solver: Any, net_file: str) -> None:
    net = caffe.Net(net_file, caffe.TEST)
    solver.share_weights(net)
    solver.net.params["ip"][1].data[...] = 9
    assert (net.params["ip"][1].data == 9).all()


def test_param_is_the_solver_parameter(solver: Any) -> None:
    assert (solver.param.max_iter, solver.param.display) == (100, 100)
    assert solver.param.base_lr == pytest.approx(0.01)
    blob = solver.net.layers[1].blobs[0]
    blob.data[...], blob.diff[...] = 0, 1
    solver.param.base_lr = 1
    solver.apply_update()
    np.testing.assert_allclose(blob.data, -1, rtol=1e-5)


def test_callbacks_run_around_the_passes(solver: Any) -> None:
    calls: list[str] = []
    solver.add_callback(lambda: calls.append("start"), lambda: calls.append("gradients"))
    solver.step(2)
    assert calls == ["start", "gradients"] * 2


def test_a_missing_file_is_a_runtime_error() -> None:
    for make in (caffe.SGDSolver, caffe.get_solver):
        with pytest.raises(RuntimeError):
            make("missing.prototxt")


def test_the_class_wins_over_the_type_in_the_file(solver_file: Any) -> None:
    solver = caffe.SGDSolver(solver_file('type: "Nesterov"'))
    blob = solver.net.layers[1].blobs[0]
    for _ in range(2):  # with momentum 0.9, SGD's second update is 1.9 times the first
        blob.data[...], blob.diff[...] = 0, 1
        solver.apply_update()
    np.testing.assert_allclose(blob.data, -0.019, rtol=1e-3)
