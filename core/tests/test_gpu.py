"""The device `gpu` where there is no GPU: what it says, and that CuPy is imported by nobody else."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from bicerin.device import get_device
from bicerin.errors import DeviceError
from bicerin.net import Net

NET = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 } } }'


def cupy_with(number):
    """CuPy as it is where CUDA finds so many GPUs, or fails."""

    class CUDARuntimeError(RuntimeError):
        pass

    def count():
        if isinstance(number, str):
            raise CUDARuntimeError(number)
        return number

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    return SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime))


@pytest.mark.parametrize(("cupy", "spec", "message"), [
    (None, "gpu", r"needs CuPy, which is not installed: pip install \"bicerin\[cuda12\]\""),
    (cupy_with("cudaErrorInsufficientDriver: CUDA driver version is insufficient"), "gpu", "cudaErrorInsufficientDriv"),
    (cupy_with(0), "gpu", "CuPy 14.2.0 is installed, but there is no GPU here"),
    (cupy_with(1), "gpu:1", "no GPU of index 1; CUDA finds 1, gpu"),
    (cupy_with(2), "gpu:5", "no GPU of index 5; CUDA finds 2, gpu:0 to gpu:1"),
])  # fmt: skip
def test_what_is_missing_is_said_before_anything_is_built(cupy, spec, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(Net, "_build", None)
    with pytest.raises(DeviceError, match=message):
        Net(NET, device=spec)


def test_devices_have_their_index(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy_with(2))
    assert repr(get_device("gpu")) == "gpu"
    assert repr(get_device("gpu:1")) == "gpu:1"
    assert get_device("gpu:1").index == 1


def test_cupy_is_imported_for_the_gpu_alone():
    program = (
        "import sys, bicerin\n"
        f"bicerin.Net({NET!r}).forward()\n"
        "from bicerin.device import devices\n"
        "assert 'gpu' in devices\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'cupy']\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_test_run_on_a_device_that_is_not_there_ends_with_one_line(tmp_path):
    (tmp_path / "test_nothing.py").write_text("def test_nothing(device): pass")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "bicerin.testing.pytest_plugin", "--device", "abacus", str(tmp_path)],
        text=True,
        capture_output=True,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith('ERROR: --device abacus: unknown device "abacus"')
    assert "passed" not in done.stdout


def test_tests_that_no_device_changes_can_be_left_out(tmp_path):
    (tmp_path / "test_two.py").write_text("def test_one(device): pass\ndef test_other(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "bicerin.testing.pytest_plugin", "-m", "device", str(tmp_path)]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    assert "1 passed, 1 deselected" in done.stdout
    assert "PytestUnknownMarkWarning" not in done.stdout
