"""Python layers: found, made, called as pycaffe does, with their errors."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import bicerin
from bicerin.errors import LayerError, ShapeError, UserCodeError
from bicerin.testing import check_gradient, run_layer
from bicerin_python import PythonLayer
from bicerin_python.user_code import _activate

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }\n'


class Scale(PythonLayer):
    """top = bottom * weight, weight (C,)."""

    def setup(self, bottom, top):
        self.blobs.add_blob(bottom[0].shape[1], filler={"type": "constant", "value": 3}, lr_mult=2, decay_mult=0)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * self.blobs[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += (top[0].diff * bottom[0].data).sum(0)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * self.blobs[0].data


class ScaleAnywhere(Scale):
    """On a device, with its arrays; these are CuPy's."""

    def forward_gpu(self, bottom, top):
        top[0].data[...] = bottom[0].data * self.blobs[0].data

    def backward_gpu(self, top, propagate_down, bottom):
        y_diff = top[0].diff
        self.blobs[0].diff[...] += (y_diff * bottom[0].data).sum(axis=0)
        if propagate_down[0]:
            bottom[0].diff[...] = y_diff * self.blobs[0].data


class HalfSquareLoss(PythonLayer):
    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.distance = bottom[0].data - bottom[1].data
        top[0].data[...] = (self.distance**2).sum() / (2 * bottom[0].num)

    def backward(self, top, propagate_down, bottom):
        for index, sign in ((0, 1), (1, -1)):
            if propagate_down[index]:
                bottom[index].diff[...] = sign * top[0].diff * self.distance / bottom[0].num


class Recorder(PythonLayer):
    """Keeps what it was given; its top has the shape that it got in setup."""

    def __init__(self, param):
        super().__init__(param)
        self.made_with = param.name

    def setup(self, bottom, top):
        self.seen = (self.param_str, self.param_str_, self.phase, self.name, self.type)
        self.lists = (len(bottom), len(top), [blob.shape for blob in bottom])
        top[0].reshape(2, 1)

    def forward(self, bottom, top):
        top[0].data[...] = 7


class Counter(PythonLayer):
    def setup(self, bottom, top):
        top[0].reshape(1)
        self.count = 0

    def forward(self, bottom, top):
        self.count += 1
        top[0].data[...] = self.count + self.random.random()

    def snapshot_state(self):
        return {"count": self.count}

    def restore_state(self, state):
        self.count = state["count"]


class NoForward(PythonLayer):
    pass


class Raises(PythonLayer):
    def setup(self, bottom, top):
        self.where = self.param_str
        self.fail("setup")

    def reshape(self, bottom, top):
        self.fail("reshape")

    def forward(self, bottom, top):
        self.fail("forward")

    def backward(self, top, propagate_down, bottom):
        self.fail("backward")

    def fail(self, where):
        if where == self.where:
            raise KeyError(where)


class BadBlobShape(PythonLayer):
    def forward(self, bottom, top):
        top[0].data[...] = np.zeros((9, 9))


NOT_A_CLASS = 1


class Unrelated:
    """No layer: it has no forward."""


class Duck:
    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        top[0].data[...] = float(self.param_str)


class Replaces(Duck):
    def forward(self, bottom, top):
        top[0] = np.ones(1)


@pytest.fixture(autouse=True)
def _this_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers above, as the module "user_layers"."""
    monkeypatch.setitem(sys.modules, "user_layers", sys.modules[__name__])


@pytest.fixture
def _fresh_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A test that imports from folders starts and ends without any."""
    monkeypatch.chdir(tmp_path)
    _activate(None)
    yield
    _activate(None)


def python(layer: str, *, module: str = "user_layers", more: str = "", param: str = "") -> str:
    return f'name: "p" type: "Python" {more} python_param {{ module: "{module}" layer: "{layer}" {param} }}'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


def constant(number: int) -> str:
    return f"""
        from bicerin_python import PythonLayer
        class Constant(PythonLayer):
            def setup(self, bottom, top):
                top[0].reshape(1)
            def forward(self, bottom, top):
                top[0].data[...] = {number}
        """


def net_in(folder: Path, module: str = "constant", layer: str = "Constant") -> bicerin.Net:
    text = f'layer {{ top: "out" {python(layer, module=module)} }}\n'
    return bicerin.Net(write(folder / "net.prototxt", text))


class TestCalls:
    def test_what_a_layer_is_given(self, device: str) -> None:
        run = run_layer(
            python("Recorder", param="param_str: \"{'a': __import__(1)}\""),
            [np.zeros((2, 3)), np.zeros(4)],
            phase="TEST",
            device=device,
        )
        user = run.layer.user
        assert user.seen == ("{'a': __import__(1)}", "{'a': __import__(1)}", 1, "p", "Python")
        assert user.lists == (2, 1, [(2, 3), (4,)])
        assert user.made_with == "p"
        run.forward()
        assert run.top[0].data.tolist() == [[7], [7]]

    def test_which_solver_it_is_of(self) -> None:
        text = f'layer {{ top: "out" {python("Duck")} }}'
        (node,) = bicerin.Net(text, "TRAIN", rank=1, replicas=3).nodes
        assert (node.layer.user.solver_rank, node.layer.user.solver_count) == (1, 3)

    def test_any_class_with_a_forward_will_do(self, device: str) -> None:
        run = run_layer(python("Duck", param='param_str: "2.5"'), tops=1, device=device)
        run.forward()
        assert run.top[0].data == [2.5]
        assert isinstance(run.layer.user, Duck)

    def test_gradients(self, device: str) -> None:
        random = np.random.default_rng(0)
        check_gradient(python("Scale"), [random.normal(size=(4, 3))], tops=1, device=device)
        inputs = [random.normal(size=(4, 3)) for _ in range(2)]
        check_gradient(python("HalfSquareLoss", more="loss_weight: 2"), inputs, tops=1, device=device)

    def test_code_for_a_device_is_run_there_without_a_copy(self, device: str) -> None:
        random = np.random.default_rng(0)
        check_gradient(python("ScaleAnywhere"), [random.normal(size=(4, 3))], tops=1, device=device)
        run = run_layer(python("ScaleAnywhere"), [np.ones((2, 3))], tops=1, device=device)
        copies = []
        for _ in range(2):
            run.forward()
            run.add_backward([True])
            transfers = run.layer.context.device.transfers
            copies.append((transfers.to_host, transfers.to_device))
        assert copies[0] == copies[1]
        assert run.top[0].data.tolist() == [[3] * 3] * 2

    def test_code_for_the_cpu_costs_the_copies_that_it_needs(self, device: str) -> None:
        """Of what it reads, and of what others then read on the device."""
        run = run_layer(python("Scale"), [np.ones((2, 3))], tops=1, device=device)
        transfers = run.layer.context.device.transfers
        if run.layer.context.device.is_host:
            return
        for blob, value in ((run.bottom[0], 2), (run.blobs[0], 5)):
            blob.on(blob.device).data.fill(value)
        before = transfers.to_host, transfers.to_device
        run.forward()
        assert (transfers.to_host, transfers.to_device) == (before[0] + 2, before[1])
        for blob in (run.bottom[0], run.top[0]):
            _ = blob.on(blob.device, writes_data=False).data
        assert (transfers.to_host, transfers.to_device) == (before[0] + 2, before[1] + 2)
        assert (run.top[0].data == 10).all()

    @pytest.mark.parametrize("batch", [0, 1, 5])
    def test_a_new_batch_size_reaches_reshape(self, batch: int, device: str) -> None:
        run = run_layer(python("Scale"), [np.ones((2, 3))], tops=1, device=device)
        run.bottom[0].reshape(batch, 3)
        run.bottom[0].data[...] = 2
        run.forward()
        assert run.top[0].shape == (batch, 3)
        assert (run.top[0].data == 6).all()

    def test_share_in_parallel(self, device: str) -> None:
        shared = run_layer(python("Counter", param="share_in_parallel: true"), tops=1, device=device)
        assert shared.layer.share_in_parallel()
        assert not run_layer(python("Counter"), tops=1, device=device).layer.share_in_parallel()

    def test_state_is_kept_for_snapshots(self, device: str) -> None:
        run = run_layer(python("Counter"), tops=1, seed=5, device=device)
        for _ in range(3):
            run.forward()
        state = run.layer.state()
        run.forward()
        expected = float(run.top[0].data[0])
        other = run_layer(python("Counter"), tops=1, seed=6, device=device)
        other.layer.restore_state(state)
        other.forward()
        assert float(other.top[0].data[0]) == expected


class TestBlobs:
    def test_filler_and_multipliers(self, device: str) -> None:
        net = bicerin.Net(
            INPUT + f'layer {{ bottom: "data" top: "out" {python("Scale")} }}\n', phase="TRAIN", device=device
        )
        (weight,) = net.params["p"]
        assert weight.data.tolist() == [3, 3, 3]
        assert (net.params_lr, net.params_weight_decay) == ([2], [0])

    def test_blobs_that_a_layer_adds_are_learned(self, device: str) -> None:
        text = f'{INPUT}layer {{ bottom: "data" top: "out" loss_weight: 1 {python("Scale")} }}\n'
        net = bicerin.Net(text, phase="TRAIN", device=device)
        net.forward(data=[[1, 2, 3], [4, 5, 6]])
        net.run_backward()
        assert net.params["p"][0].diff.tolist() == [5, 7, 9]

    def test_the_prototxt_decides_over_multipliers(self, device: str) -> None:
        layer = python("Scale", more="param { lr_mult: 5 }")
        net = bicerin.Net(INPUT + f'layer {{ bottom: "data" top: "out" {layer} }}\n', device=device)
        assert (net.params_lr, net.params_weight_decay) == ([5], [0])

    def test_weights_are_saved_and_loaded(self, tmp_path: Path, device: str) -> None:
        text = INPUT + f'layer {{ bottom: "data" top: "out" {python("Scale")} }}\n'
        net = bicerin.Net(text, device=device)
        net.params["p"][0].data[...] = [1, 2, 3]
        path = net.save(tmp_path / "net.caffemodel")
        assert bicerin.Net(text, weights=path, device=device).params["p"][0].data.tolist() == [1, 2, 3]
        assert bicerin.Net(net.to_proto(), device=device).params["p"][0].data.tolist() == [1, 2, 3]

    def test_given_blobs_must_fit(self, device: str) -> None:
        given = "blobs { shape { dim: 2 } data: 1 data: 1 }"
        with pytest.raises(LayerError, match=r"must have the shape \(3,\), not \(2,\)") as error:
            run_layer(python("Scale", more=given), [np.zeros((2, 3))], tops=1, device=device)
        assert isinstance(error.value.__cause__, ShapeError)
        with pytest.raises(ShapeError, match=r"has 0 parameter blob\(s\), but was given 1"):
            run_layer(python("Counter", more=given), tops=1, device=device)


class TestErrors:
    @pytest.mark.parametrize("where", ["setup", "reshape", "forward", "backward"])
    def test_what_the_user_raises_is_the_cause(self, where: str) -> None:
        def run() -> None:
            run = run_layer(python("Raises", param=f'param_str: "{where}"'), [np.zeros((2, 3))], tops=1)
            run.forward()
            run.backward([True])

        with pytest.raises(UserCodeError, match=rf'"p" \(Python\): Raises\.{where} raised KeyError: ') as error:
            run()
        cause = error.value.__cause__
        assert isinstance(cause, KeyError)
        assert cause.__traceback__ is not None
        assert "test_python.py" in str(error.value)
        assert "bottom: in0 (2, 3)" in str(error.value)

    def test_overflow_warns_or_raises_as_numpy_is_set_to(self) -> None:
        """In the user's code; the layers around it are silent."""
        x = np.full((2, 3), 3e38)
        run = run_layer(python("Scale"), [x], tops=1)
        with pytest.warns(RuntimeWarning, match="overflow"):
            run.forward()
        with np.errstate(over="raise"):
            run = run_layer(python("Scale"), [x], tops=1)
        with pytest.raises(UserCodeError, match="FloatingPointError"):
            run.forward()

    def test_numpys_own_errors_too(self) -> None:
        with pytest.raises(UserCodeError, match="could not broadcast") as error:
            run_layer(python("BadBlobShape"), tops=1).forward()
        assert "top[0].data[...] = np.zeros((9, 9))" in str(error.value)

    @pytest.mark.parametrize(
        ("layer", "message"),
        [
            ("Scael", r'has no class "Scael".*\n.*\n  Did you mean "Scale"\? Its layers: .*Recorder'),
            ("NOT_A_CLASS", "is not a class"),
            ("NoForward", r"NoForward has no method forward\(self, bottom, top\)"),
            ("Unrelated", r"Unrelated has no method forward"),
            ("", "python_param must name a module and a layer"),
        ],
    )
    def test_no_such_layer(self, layer: str, message: str) -> None:
        with pytest.raises(LayerError, match=message):
            run_layer(python(layer), tops=1)

    @pytest.mark.usefixtures("_fresh_modules")
    def test_a_missing_module_says_where_it_was_looked_for(self, tmp_path: Path) -> None:
        with pytest.raises(LayerError) as error:
            net_in(tmp_path / "a", "no_such_module")
        text = str(error.value)
        assert 'there is no module "no_such_module"' in text
        assert f"{tmp_path / 'a' / 'net.prototxt'}:1" in text
        assert f"{tmp_path / 'a'} (beside the prototxt)" in text
        assert f"{tmp_path} (the working directory)" in text

    @pytest.mark.usefixtures("_fresh_modules")
    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("1 / 0", "raised ZeroDivisionError"),
            ("x = 1\ndef (:", r"raised SyntaxError(.|\n)*at \S*broken\.py:2: def \(:"),
            ("import no_such_dependency", "raised ModuleNotFoundError: No module named 'no_such_dependency'"),
        ],
    )
    def test_a_module_that_raises(self, tmp_path: Path, source: str, message: str) -> None:
        write(tmp_path / "broken.py", source)
        with pytest.raises(UserCodeError, match=f'importing the module "broken" {message}') as error:
            net_in(tmp_path, "broken")
        assert error.value.__cause__ is not None

    def test_a_gradient_that_nobody_computes(self) -> None:
        run = run_layer(python("Duck", param='param_str: "1"'), [np.zeros((1, 1))], tops=1)
        run.backward([False])
        with pytest.raises(LayerError, match=r"Duck has no method backward.*one of its bottoms needs a gradient"):
            run.backward([True])


@pytest.mark.usefixtures("_fresh_modules")
class TestSearch:
    def test_pythonpath_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "a" / "constant_on_path.py", constant(1))
        write(tmp_path / "b" / "constant_on_path.py", constant(2))
        monkeypatch.syspath_prepend(tmp_path / "b")
        assert net_in(tmp_path / "a", "constant_on_path").forward()["out"] == 2

    def test_the_prototxts_folder_and_the_working_directory(self, tmp_path: Path) -> None:
        write(tmp_path / "here.py", constant(1))
        write(tmp_path / "a" / "beside.py", constant(2))
        write(tmp_path / "a" / "package" / "inner.py", constant(3))
        values = [net_in(tmp_path / "a", module).forward()["out"] for module in ("here", "beside", "package.inner")]
        assert values == [1, 2, 3]

    def test_equal_names_in_two_folders(self, tmp_path: Path) -> None:
        for folder, number in (("a", 1), ("b", 2)):
            write(tmp_path / folder / "number.py", f"NUMBER = {number}")
            write(
                tmp_path / folder / "constant.py",
                """
                import number as early
                class Constant:
                    def setup(self, bottom, top):
                        import number as late
                        top[0].reshape(2)
                        self.values = early.NUMBER, late.NUMBER
                    def forward(self, bottom, top):
                        top[0].data[...] = self.values
                """,
            )
        path, modules = list(sys.path), set(sys.modules)
        nets = [net_in(tmp_path / folder) for folder in ("a", "b", "a")]
        assert [net.forward()["out"].tolist() for net in nets] == [[1, 1], [2, 2], [1, 1]]
        assert type(nets[0].layers[0].user) is type(nets[2].layers[0].user)
        _activate(None)
        assert sys.path == path
        assert not {"constant", "number"} & (set(sys.modules) - modules)

    def test_a_layer_of_the_running_script(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.modules["__main__"], "Duck", Duck, raising=False)
        run = run_layer(python("Duck", module="__main__", param='param_str: "1"'), tops=1)
        run.forward()
        assert run.top[0].data == [1]


class TestLossWeight:
    DATA = [np.zeros((2, 3)), np.zeros((2, 3))]

    def test_a_loss_without_weight_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        run_layer(python("HalfSquareLoss"), self.DATA, tops=1)
        assert "looks like a loss, but has no loss_weight" in caplog.text

    @pytest.mark.parametrize(
        ("definition", "phase"),
        [
            (python("HalfSquareLoss", more="loss_weight: 1"), "TRAIN"),
            (python("HalfSquareLoss"), "TEST"),
            (python("Counter"), "TRAIN"),
        ],
    )
    def test_others_are_not(self, definition: str, phase: str, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            run_layer(definition, self.DATA, tops=1, phase=phase)
        assert not caplog.records


def test_a_top_cannot_be_replaced_in_silence() -> None:
    run = run_layer(python("Replaces", param='param_str: "1"'), tops=1)
    with pytest.raises(LayerError, match=r"write its values, \[0\]\.data\[\.\.\.\] = array"):
        run.forward()
