"""Kernels on the emulated device: what they compute, and that planted faults are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bicerin.device import CudaSource, get_device
from bicerin.errors import DeviceError
from bicerin_emulated import cupy
from bicerin_emulated.raw_module import KernelError

PLANTED = CudaSource(Path(__file__).with_name("planted.cu"))
ORDERS = ["forward", "reverse", "shuffled", "shuffled:5"]


def kernels(dtype=np.float32):
    return PLANTED.on(get_device("emulated"), np.dtype(dtype))


def line_of(text: str) -> str:
    """The place of a line of planted.cu, as errors name it."""
    lines = PLANTED.paths[0].read_text(encoding="utf-8").splitlines()
    number = next(index for index, line in enumerate(lines, start=1) if text in line)
    return f"planted.cu:{number}"


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("ORDER", "CHECK"):
        monkeypatch.delenv(f"BICERIN_EMULATED_{name}", raising=False)


@pytest.fixture(params=ORDERS)
def order(request, monkeypatch):
    monkeypatch.setenv("BICERIN_EMULATED_ORDER", request.param)
    return request.param


@pytest.fixture
def checked(monkeypatch):
    monkeypatch.setenv("BICERIN_EMULATED_CHECK", "access")


def rows(count, columns, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(count, columns)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("check", ["", "access"])
def test_right_kernels_in_every_order(order, check, dtype, monkeypatch):
    monkeypatch.setenv("BICERIN_EMULATED_CHECK", check)
    x = rows(3, 700, dtype)
    sums, doubled = cupy.zeros(3, dtype), cupy.empty(x.shape, dtype)
    kernels(dtype).row_sums.blocks(3, 700, cupy.asarray(x), sums)
    kernels(dtype).double_up(x.size, cupy.asarray(x), doubled)
    np.testing.assert_allclose(sums.get(), x.sum(axis=1), rtol=1e-5, atol=1e-5)
    assert np.array_equal(doubled.get(), 2 * x)
    index = np.arange(700, dtype=np.int32) % 7
    total = cupy.zeros(7, dtype)
    kernels(dtype).scatter(700, cupy.asarray(index), cupy.asarray(x[0]), total)
    expected = np.zeros(7)
    np.add.at(expected, index, x[0])
    np.testing.assert_allclose(total.get(), expected, rtol=1e-5, atol=1e-5)


def test_a_missing_barrier_changes_the_result_with_the_order(monkeypatch):
    x = rows(2, 700)
    results = []
    for name in ORDERS:
        monkeypatch.setenv("BICERIN_EMULATED_ORDER", name)
        sums = cupy.zeros(2, np.float32)
        kernels().row_sums_without_barrier.blocks(2, 700, cupy.asarray(x), sums)
        results.append(np.allclose(sums.get(), x.sum(axis=1), rtol=1e-4))
    assert not all(results)


def test_a_missing_barrier_is_a_race(checked):
    with pytest.raises(KernelError, match="row_sums_without_barrier: a race: ") as raised:
        kernels().row_sums_without_barrier.blocks(1, 700, cupy.asarray(rows(1, 700)), cupy.zeros(1, np.float32))
    assert line_of("parts[threadIdx.x] += parts[threadIdx.x + half];  // too early") in str(raised.value)


def test_a_scatter_without_atomics_is_a_race(checked, order):
    index = cupy.asarray(np.arange(700, dtype=np.int32) % 7)
    with pytest.raises(KernelError, match="a race: ") as raised:
        kernels().scatter_without_atomics(700, index, cupy.ones(700, np.float32), cupy.zeros(7, np.float32))
    assert line_of("total[index[i]] += x[i];") in str(raised.value)


@pytest.mark.parametrize(("size", "where"), [(699, "0 bytes after the end of argument 2")])
def test_out_of_bounds_is_reported_with_its_line(checked, order, size, where):
    x = cupy.ones(700, np.float32)
    with pytest.raises(KernelError, match=f"writes 4 bytes out of bounds: {where}") as raised:
        kernels().double_up(700, x, cupy.empty(size, np.float32))
    assert line_of("y[i] = 2 * x[i];") in str(raised.value)


def test_address_sanitizer_reports_the_line(tmp_path):
    program = (
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from bicerin.device import CudaSource\n"
        "from bicerin.device import get_device\n"
        "from bicerin_emulated import cupy\n"
        f"source = CudaSource(Path({__file__!r}).with_name('planted.cu'))\n"
        "run = source.on(get_device('emulated'), np.dtype('float32'))\n"
        "run.row_sums.blocks(2, 700, cupy.ones(1400, np.float32), cupy.zeros(2, np.float32))\n"
        "run.double_up(4000, cupy.ones(4000, np.float32), cupy.empty(4000, np.float32))\n"
        "print('fine so far', flush=True)\n"
        "run.double_up(4000, cupy.ones(4000, np.float32), cupy.empty(3999, np.float32))\n"
    )
    library = subprocess.run(["g++", "-print-file-name=libasan.so"], text=True, capture_output=True).stdout.strip()
    assert Path(library).exists(), "g++ comes without AddressSanitizer"
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "BICERIN_EMULATED_CHECK": "address",
        "PYTHONMALLOC": "malloc",
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, text=True, capture_output=True)
    assert done.stdout == "fine so far\n", done.stderr
    assert "heap-buffer-overflow" in done.stderr
    assert line_of("y[i] = 2 * x[i];") in done.stderr


def test_address_sanitizer_must_be_loaded_first(monkeypatch):
    monkeypatch.setenv("BICERIN_EMULATED_CHECK", "address")
    with pytest.raises(DeviceError, match="LD_PRELOAD"):
        kernels().double_up(1, cupy.ones(1, np.float32), cupy.ones(1, np.float32))


def test_a_barrier_that_some_threads_pass_by(order):
    with pytest.raises(KernelError, match="wait at __syncthreads"):
        kernels().divergent.blocks(1, cupy.zeros(1, np.float32))
    # The emulator is ready for the next kernel.
    sums = cupy.zeros(1, np.float32)
    kernels().row_sums.blocks(1, 3, cupy.ones(3, np.float32), sums)
    assert sums.get() == [3]


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.ones(4, np.float32), cupy.ones(4, np.float32)), "x must be an array of the device"),
    ((cupy.ones(4, np.float64), cupy.ones(4, np.float32)), "x must be of dtype float32, not float64"),
    ((cupy.ones((4, 2), np.float32)[:, 0], cupy.ones(4, np.float32)), "x must be contiguous"),
    ((cupy.ones(4, np.float32),), "takes 3 arguments, not 2"),
])  # fmt: skip
def test_wrong_arguments(arguments, message):
    with pytest.raises(DeviceError, match=message):
        kernels().double_up(4, *arguments)


def test_an_array_to_read_only_is_not_written():
    array = cupy.ones(4, np.float32)
    with pytest.raises(TypeError, match="argument 2 is to read only"):
        kernels().double_up(4, array, array._read_only())


def test_the_bare_kernel_takes_numbers_as_cupy_does():
    kernel = cupy.RawModule(code=PLANTED.code(np.float32)).get_function("double_up")
    with pytest.raises(TypeError, match="argument 0 must be a number of dtype int32, not int64"):
        kernel((1,), (256,), (4, cupy.ones(4, np.float32), cupy.ones(4, np.float32)))


def test_errors_of_the_compiler_name_the_line(tmp_path):
    (tmp_path / "wrong.cu").write_text('\nextern "C" __global__ void f(int n, real* x) { ELEMENT(i, n); x[i] = y; }\n')
    source = CudaSource(tmp_path / "wrong.cu")
    with pytest.raises(KernelError, match=r"wrong\.cu:2"):
        source.on(get_device("emulated"), np.dtype(np.float32)).f(1, cupy.ones(1, np.float32))
