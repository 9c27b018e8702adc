"""What the user's code raises, and what it imports while it runs."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from bicerin import Net
from bicerin.errors import UserCodeError

NET = """
layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 1 } } }
layer { name: "k" type: "Python" bottom: "x" top: "y" python_param { module: "%s" layer: "K" } }
"""

LAYER = """
class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no text")

class OutOfTree(BaseException):
    pass

class K:
    def setup(self, bottom, top): pass
    def reshape(self, bottom, top): top[0].reshape(1)
    def forward(self, bottom, top):
        %s
"""


def net(folder: Path, module: str, body: str) -> Net:
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(LAYER % body)
    (folder / "net.prototxt").write_text(NET % module)
    return Net(folder / "net.prototxt", "TEST")


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("StopIteration", "StopIteration"),
        ("StopAsyncIteration", "StopAsyncIteration"),
        ("SystemExit(0)", "SystemExit: 0"),
        ("OutOfTree('far')", "OutOfTree: far"),
        ("Unspeakable()", "Unspeakable, whose text cannot be had"),
        ("ValueError('x' * 10**7)", "10000000 characters"),
    ],
)
def test_whatever_is_raised_names_the_layer_and_the_place(tmp_path: Path, raised: str, said: str) -> None:
    built = net(tmp_path, "raising", f"raise {raised}")
    with pytest.raises(UserCodeError) as caught:
        # In a generator, which a StopIteration that goes through it would end.
        sum(len(built.forward()) for _ in range(3))
    text = str(caught.value)
    assert said in text and 'layer "k" (Python): K.forward raised' in text
    assert f"{tmp_path / 'raising.py'}:13: raise" in text
    assert len(text) < 5000


def test_a_method_imports_its_own_neighbours(tmp_path: Path) -> None:
    built = []
    for name, value in (("first", 3), ("second", 4)):
        folder = tmp_path / name
        built.append(net(folder, f"layer_{name}", "from neighbour import VALUE; top[0].data[0] = VALUE"))
        (folder / "neighbour.py").write_text(f"VALUE = {value}")
    assert [one.forward()["y"][0] for one in built for _ in range(2)] == [3, 3, 4, 4]
    assert built[0].forward()["y"][0] == 3


def test_a_method_pickles_its_own_classes(tmp_path: Path) -> None:
    first = net(tmp_path / "a", "pickling", "import pickle; top[0].data[0] = len(pickle.dumps(self.__class__()))")
    net(tmp_path / "b", "other", "pass")
    assert first.forward()["y"][0] > 0
    assert pickle.HIGHEST_PROTOCOL  # the module that the layer imports by name


def test_the_folder_is_on_the_path_only_while_the_layer_runs(tmp_path: Path) -> None:
    built = net(tmp_path, "looking", "import sys; top[0].data[0] = sys.path[-1] == self.folder")
    built.layer("k").user.folder = str(tmp_path)  # type: ignore[attr-defined]
    assert built.forward()["y"][0] == 1
    assert str(tmp_path) not in sys.path
