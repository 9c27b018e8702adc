"""Python layers as scripts have them, and their exceptions."""

from __future__ import annotations

import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caffe

pytestmark = pytest.mark.usefixtures("on_the_device")

LAYERS = '''
import caffe

class Ten(caffe.Layer):
    """Times ten."""
    def setup(self, bottom, top):
        pass
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)
    def forward(self, bottom, top):
        top[0].data[...] = 10 * bottom[0].data
    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = 10 * top[0].diff

class Counter(caffe.Layer):
    """A data layer with a state of its own, and a method that scripts call."""
    def setup(self, bottom, top):
        self.next = int(self.param_str or 0)
        top[0].reshape(2)
    def set_next(self, value):
        self.next = value
    def reshape(self, bottom, top):
        pass
    def forward(self, bottom, top):
        top[0].data[...] = [self.next, self.next + 1]
        self.next += 2
    def backward(self, top, propagate_down, bottom):
        pass

class Parameter(caffe.Layer):
    def setup(self, bottom, top):
        self.blobs.add_blob(1)
        self.blobs[0].data[0] = 0
    def reshape(self, bottom, top):
        top[0].reshape(10)
    def forward(self, bottom, top):
        top[0].data[...] = self.blobs[0].data
    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[0] = 1

class Phase(caffe.Layer):
    def setup(self, bottom, top):
        self.names = str(self.phase)
    def reshape(self, bottom, top):
        top[0].reshape()
    def forward(self, bottom, top):
        top[0].data[()] = self.phase

class Two(caffe.Layer):
    """Several tops, no backward, prints."""
    def setup(self, bottom, top):
        print("two has", len(top), "tops and", self.param_str_)
    def reshape(self, bottom, top):
        top[0].reshape(1)
        top[1].reshape(2, 2)
    def forward(self, bottom, top):
        top[0].data[0], top[1].data[...] = 1, 2

class WithInit(caffe.Layer):
    def __init__(self, layer_param, *args, **kwargs):
        super(WithInit, self).__init__(layer_param)
        self.made = True
    def setup(self, bottom, top):
        self.kind = self.type
    def reshape(self, bottom, top):
        top[0].reshape(1)
    def forward(self, bottom, top):
        top[0].data[0] = self.made

class OnlySetup(caffe.Layer):
    def setup(self, bottom, top):
        raise ArithmeticError("in setup")

class Raises(caffe.Layer):
    def setup(self, bottom, top):
        if self.param_str == "setup":
            raise RuntimeError("in setup")
    def reshape(self, bottom, top):
        if self.param_str == "reshape":
            raise KeyError("in reshape")
        top[0].reshape(1)
    def forward(self, bottom, top):
        try:
            {}["missing"]
        except KeyError:
            raise ValueError("in forward")
    def backward(self, top, propagate_down, bottom):
        raise ZeroDivisionError("in backward")
'''


@pytest.fixture
def build(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a net of one Python layer; its module is on the path, as with PYTHONPATH."""
    write("wild_layers.py", LAYERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "wild_layers", raising=False)

    def built(
        layer: str,
        bottom: bool = False,
        tops: tuple[str, ...] = ("top",),
        param_str: str = "",
        phase: int = caffe.TRAIN,
    ) -> caffe.Net:
        given = 'layer { type: "Input" name: "data" top: "data" input_param { shape { dim: 4 } } }' if bottom else ""
        blobs = " ".join(['bottom: "data"'] * bottom + [f'top: "{top}"' for top in tops])
        text = f"""name: "wild" force_backward: true {given}
        layer {{ type: "Python" name: "layer" {blobs}
          python_param {{ module: "wild_layers" layer: "{layer}" param_str: '{param_str}' }} }}"""
        return caffe.Net(write("python.prototxt", text), phase)

    return built


def test_forward_backward_and_reshape(build: Callable[..., caffe.Net]) -> None:
    net = build("Ten", bottom=True)
    net.blobs["data"].data[...] = 8
    net.forward()
    assert (net.blobs["top"].data == 80).all()
    net.blobs["top"].diff[...] = 7
    net.backward()
    assert (net.blobs["data"].diff == 70).all()
    net.blobs["data"].reshape(2, 3, 4)
    net.forward()
    assert net.blobs["top"].data.shape == (2, 3, 4)


def test_a_layer_keeps_its_state_and_scripts_reach_it(build: Callable[..., caffe.Net]) -> None:
    net = build("Counter", param_str="5")
    assert [list(net.forward()["top"]) for _ in range(2)] == [[5, 6], [7, 8]]
    net.layers[0].set_next(0)
    assert list(net.forward()["top"]) == [0, 1]
    assert isinstance(net.layers[0], caffe.Layer) and net.layers[0].type == "Python"
    assert net.layer_dict["layer"] is net.layers[0]


def test_param_str_is_handed_over_untouched(build: Callable[..., caffe.Net], capsys: Any) -> None:
    text = '{"a": [1, 2], "b": __import__("os")}'
    net = build("Two", tops=("one", "two"), param_str=text)
    assert net.layers[0].param_str == net.layers[0].param_str_ == text
    assert capsys.readouterr().out == f"two has 2 tops and {text}\n"
    assert {name: array.tolist() for name, array in net.forward().items()} == {"one": [1], "two": [[2, 2], [2, 2]]}


def test_a_layer_with_blobs_is_saved_and_loaded(build: Callable[..., caffe.Net], tmp_path: Path) -> None:
    net = build("Parameter")
    net.forward()
    net.backward()
    layer = net.layers[list(net._layer_names).index("layer")]
    assert (layer.blobs[0].data[0], layer.blobs[0].diff[0]) == (0, 1)
    layer.blobs[0].data[0] += layer.blobs[0].diff[0]
    net.save(str(tmp_path / "weights"))
    for other in (build("Parameter"), build("Parameter", phase=caffe.TEST)):
        other.copy_from(str(tmp_path / "weights"))
        assert other.layers[0].blobs[0].data[0] == 1
        assert other.params["layer"][0].blob is other.layers[0].blobs[0].blob


@pytest.mark.parametrize(("phase", "name"), [(caffe.TRAIN, "TRAIN"), (caffe.TEST, "TEST")])
def test_a_layer_knows_its_phase(phase: int, name: str, build: Callable[..., caffe.Net]) -> None:
    net = build("Phase", phase=phase)
    assert net.forward()["top"] == phase
    assert net.layers[0].phase == phase and net.layers[0].names == name


def test_a_layer_may_have_an_init_of_its_own(build: Callable[..., caffe.Net]) -> None:
    net = build("WithInit")
    assert net.forward()["top"][0] == 1 and net.layers[0].kind == "Python"


@pytest.mark.parametrize(
    ("where", "error", "run"),
    [
        ("setup", RuntimeError, lambda build: build("Raises", param_str="setup")),
        ("setup", ArithmeticError, lambda build: build("OnlySetup")),
        ("reshape", KeyError, lambda build: build("Raises", param_str="reshape")),
        ("forward", ValueError, lambda build: build("Raises").forward()),
        ("backward", ZeroDivisionError, lambda build: build("Raises", bottom=True).backward()),
    ],
)
def test_what_a_layer_raises_arrives_as_it_is(where: str, error: type[Exception], run: Any, build: Any) -> None:
    with pytest.raises(error, match=f"in {where}") as caught:
        run(build)
    assert type(caught.value) is error
    text = "".join(traceback.format_exception(caught.value))
    assert f"in {where}\n" in text and "wild_layers.py" in text
    assert 'In the layer "layer" (Python) of the net "wild"' in text
    assert "UserCodeError" not in text


def test_what_the_exception_was_raised_for_is_kept(build: Callable[..., caffe.Net]) -> None:
    with pytest.raises(ValueError, match="in forward") as caught:
        build("Raises").forward()
    assert isinstance(caught.value.__context__, KeyError)


def test_exceptions_come_through_a_solver(build: Any, write: Any) -> None:
    build("Raises")
    solver = write("solver.prototxt", f'train_net: "{write("python.prototxt", RAISING)}" lr_policy: "fixed" base_lr: 1')
    with pytest.raises(ValueError, match="in forward"):
        caffe.SGDSolver(solver).step(1)


RAISING = 'layer { type: "Python" name: "layer" top: "top" python_param { module: "wild_layers" layer: "Raises" } }'


def test_a_module_in_the_working_directory_is_found(write: Any, tmp_path: Path, monkeypatch: Any) -> None:
    write("here_layers.py", LAYERS)
    (tmp_path / "nets").mkdir()
    net = tmp_path / "nets" / "net.prototxt"
    net.write_text(RAISING.replace("wild_layers", "here_layers").replace("Raises", "Counter"))
    monkeypatch.chdir(tmp_path)
    assert caffe.Net("nets/net.prototxt", caffe.TEST).forward()["top"].tolist() == [0, 1]


def test_a_missing_module_and_a_missing_class_are_runtime_errors(build: Any, write: Any) -> None:
    with pytest.raises(RuntimeError, match='has no class "Nope"'):
        build("Nope")
    with pytest.raises(RuntimeError, match='there is no module "nowhere_layers"'):
        caffe.Net(write("net.prototxt", RAISING.replace("wild_layers", "nowhere_layers")), caffe.TEST)


# A layer in the manner of Faster R-CNN's: it reads its settings by the phase's name, and shapes its tops in forward.

PROPOSALS = """
import caffe
import numpy as np

SETTINGS = {"TRAIN": {"keep": 3}, "TEST": {"keep": 2}}

class ProposalLayer(caffe.Layer):
    def setup(self, bottom, top):
        self._stride = eval(self.param_str_)["feat_stride"]
        top[0].reshape(1, 5)
        if len(top) > 1:
            top[1].reshape(1, 1, 1, 1)

    def forward(self, bottom, top):
        assert bottom[0].data.shape[0] == 1, "Only single item batches are supported"
        keep = SETTINGS[str(self.phase)]["keep"]
        scores = bottom[0].data[:, 1:, :, :].transpose((0, 2, 3, 1)).reshape((-1, 1))
        order = scores.ravel().argsort()[::-1][:keep]
        y, x = np.unravel_index(order, bottom[0].data.shape[2:])
        boxes = np.vstack((x, y, x + 1, y + 1)).transpose() * self._stride
        blob = np.hstack((np.zeros((len(boxes), 1)), boxes))
        top[0].reshape(*(blob.shape))
        top[0].data[...] = blob
        if len(top) > 1:
            top[1].reshape(*(scores[order].shape))
            top[1].data[...] = scores[order]

    def backward(self, top, propagate_down, bottom):
        pass

    def reshape(self, bottom, top):
        pass
"""


def test_tops_that_are_shaped_in_forward(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("proposals.py", PROPOSALS)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = textwrap.dedent("""
        layer { type: "Input" name: "scores" top: "scores" input_param { shape { dim: 1 dim: 2 dim: 3 dim: 4 } } }
        layer { type: "Python" name: "proposal" bottom: "scores" top: "rois" top: "rois_scores"
          python_param { module: "proposals" layer: "ProposalLayer" param_str: "{'feat_stride': 16}" } }
        layer { type: "Power" name: "halved" bottom: "rois" top: "halved" power_param { scale: 0.5 } }
    """)
    net = caffe.Net(write("rpn.prototxt", text), caffe.TEST)
    scores = np.zeros((1, 2, 3, 4), np.float32)
    scores[0, 1, 2, 3], scores[0, 1, 0, 1] = 2, 1
    out = net.forward(scores=scores)
    assert out["halved"].tolist() == [[0, 24, 16, 32, 24], [0, 8, 0, 16, 8]]
    assert out["rois_scores"].tolist() == [[2], [1]]


@pytest.mark.parametrize("line", ["x = top[0].data; x.shape = (-1,); x[...] = 1", "top[0].data.setflags(write=False)"])
def test_what_a_layer_does_to_an_array_stays_with_it(line: str, tmp_path: Path, monkeypatch: Any) -> None:
    text = f"""
    class Rude:
        def setup(self, bottom, top):
            pass
        def reshape(self, bottom, top):
            top[0].reshape(*bottom[0].shape)
        def forward(self, bottom, top):
            top[0].data[...] = 1
            {line}
    """
    (tmp_path / "rude.py").write_text(textwrap.dedent(text))
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } } } '
        'layer { name: "p" type: "Python" bottom: "x" top: "p" python_param { module: "rude" layer: "Rude" } } '
        'layer { name: "e" type: "EuclideanLoss" bottom: "p" bottom: "y" top: "e" }'
    )
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    for _ in range(2):
        net.blobs["y"].data.shape = (6,)
        assert net.forward()["e"] == 1.5
    assert net.blobs["p"].data.shape == net.blobs["p"].shape == (2, 3)
