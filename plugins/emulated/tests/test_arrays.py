"""Arrays of the emulated device: CuPy's names and no more, no mixing with NumPy, every copy counted."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from bicerin.device import get_device
from bicerin.errors import DeviceError
from bicerin_emulated import cupy


def array(*shape):
    return cupy.asarray(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))


@pytest.mark.parametrize("mix", [
    lambda a, n: a + n,
    lambda a, n: n + a,
    lambda a, n: n * a,
    lambda a, n: cupy.add(a, n),
    lambda a, n: np.add(a, n),
    lambda a, n: np.sum(a),
    lambda a, n: np.concatenate([a, n]),
    lambda a, n: cupy.concatenate([a, n]),
    lambda a, n: np.asarray(a),
    lambda a, n: a.__setitem__(..., n),
    lambda a, n: a.__setitem__(n.astype(int), 1),
    lambda a, n: a.__iadd__(n),
    lambda a, n: n.__setitem__(..., a),
    lambda a, n: cupy.dot(a, n),
], ids=range(14))  # fmt: skip
def test_host_and_device_do_not_mix(mix):
    with pytest.raises(TypeError):
        mix(array(3), np.ones(3, np.float32))


@pytest.mark.parametrize("use", [
    lambda: cupy.einsum_path,
    lambda: cupy.busday_count,
    lambda: array(3).newbyteorder,
    lambda: array(3).setflags,
], ids=range(4))  # fmt: skip
def test_only_what_cupy_has_is_there(use):
    with pytest.raises(AttributeError):
        use()


def test_only_parameters_that_cupy_has_are_taken():
    with pytest.raises(TypeError, match=r"cupy.sum has no parameter \['where'\]"):
        cupy.sum(array(3), where=True)
    with pytest.raises(TypeError, match="where"):
        cupy.add(array(3), 1, where=array(3) > 1)
    with pytest.raises(TypeError, match=r"cupy.ndarray.sum has no parameter \['where'\]"):
        array(3).sum(where=True)
    with pytest.raises(TypeError, match=r"cupy.ndarray.max has no parameter \['initial'\]"):
        array(3).max(initial=0)
    with pytest.raises(TypeError, match="takes 4 arguments, not 5"):
        array(3).sum(0, None, None, True, 0)
    with pytest.raises(ValueError, match="always stable"):
        array(3).argsort(kind="quicksort")
    with pytest.raises(NotImplementedError):
        cupy.multiply.at(array(3), 0, 2)


def test_lists_are_no_arrays():
    with pytest.raises(TypeError, match="Unsupported type"):
        cupy.add(array(3), [1, 2, 3])
    with pytest.raises(TypeError, match="Unsupported type"):
        array(3)[...] = [1, 2, 3]


def test_results_are_arrays_of_the_device():
    a = array(2, 3)
    for result in (
        a.sum(),
        a[0, 0],
        a[0],
        a.T,
        a + 1,
        1 - a,
        -a,
        a @ a.T,
        cupy.exp(a),
        cupy.where(a > 2, a, 0),
        a.max(1),
    ):
        assert isinstance(result, cupy.ndarray)
    assert cupy.add(a, 1, out=a) is a
    assert a.get().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_parts_are_views():
    a = array(2, 3)
    a[0][...] = 7
    a[1, 2][...] = 9
    a.reshape(-1)[3:4] += 1
    assert a.get().tolist() == [[7, 7, 7], [4, 4, 9]]


@pytest.mark.parametrize(("use", "copies"), [
    (lambda a: a + a, (0, 0)),
    (lambda a: a[1:, :2].sum(axis=0), (0, 0)),
    (lambda a: cupy.where(a > 2, a, 0), (0, 0)),
    (lambda a: a.get(), (1, 0)),
    (lambda a: float(a.sum()), (1, 0)),
    (lambda a: bool((a > 1).any()), (1, 0)),
    (lambda a: a.sum().item(), (1, 0)),
    (lambda a: a.tolist(), (1, 0)),
    (lambda a: a[a > 2], (1, 0)),
    (lambda a: cupy.nonzero(a), (1, 0)),
    (lambda a: a.nonzero(), (1, 0)),
    (lambda a: cupy.where(a > 2), (1, 0)),
    (lambda a: a.__setitem__(a > 2, 0), (1, 0)),
    (lambda a: cupy.copyto(a, 0, where=a > 2), (0, 0)),
    (lambda a: cupy.asarray(np.ones(3)), (0, 1)),
    (lambda a: a.set(np.ones((2, 3), np.float32)), (0, 1)),
], ids=range(16))  # fmt: skip
def test_copies_are_counted(use, copies):
    """Those that CuPy makes unasked too: a number for Python, the size of what a mask chooses."""
    a = array(2, 3)
    before = cupy.transfers.to_host, cupy.transfers.to_device
    use(a)
    after = cupy.transfers.to_host, cupy.transfers.to_device
    assert (after[0] - before[0], after[1] - before[1]) == copies


@pytest.mark.parametrize("write", [
    lambda a: a.__setitem__(0, 1),
    lambda a: a.fill(0),
    lambda a: a.__iadd__(1),
    lambda a: cupy.add(a, 1, out=a),
    lambda a: a[1:].__setitem__(0, 1),
], ids=range(5))  # fmt: skip
def test_an_array_to_read_only_refuses(write):
    with pytest.raises(ValueError, match="read-only"):
        write(array(3)._read_only())


def test_without_a_compiler_the_device_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeviceError, match=r'device "emulated" compiles CUDA C with g\+\+, which is not on the PATH'):
        get_device("emulated")


@pytest.mark.parametrize(("name", "value", "message"), [
    ("ORDER", "sideways", "it is forward, reverse, shuffled or shuffled:<seed>"),
    ("CHECK", "everything", 'it is "access", "address" or nothing'),
])  # fmt: skip
def test_settings_that_are_none(name, value, message, monkeypatch):
    monkeypatch.setenv(f"BICERIN_EMULATED_{name}", value)
    kernel = cupy.RawKernel('extern "C" __global__ void nothing(int n) {}', "nothing")
    with pytest.raises(DeviceError, match=message):
        kernel((1,), (1,), (np.int32(1),))


def test_it_stands_in_for_cupy():
    """A program that imports cupy runs on it."""
    program = (
        "import sys, bicerin_emulated.cupy; sys.modules['cupy'] = bicerin_emulated.cupy\n"
        "import cupy\n"
        "assert cupy.get_array_module(cupy.ones(2)) is cupy and cupy.__version__.endswith('+emulated')\n"
        "print(cupy.asnumpy(cupy.arange(3) * 2))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=os.environ, text=True, capture_output=True, check=True)
    assert done.stdout == "[0 2 4]\n"
