"""The GPU code against the real CuPy and NVRTC, without a GPU: every kernel compiles, every name exists.

Run by `tox run -e nvrtc`, where the CuPy wheel is installed; `pytest tests` leaves this folder out.
"""

from __future__ import annotations

import ast
import gc
import importlib
import inspect
import json
import re
import runpy
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import pytest
from cupy.cuda import compiler

from bicerin.device.cuda import OPTIONS, CudaSource
from bicerin.layer import layers
from bicerin.solver import Solver

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "core/src", *sorted(ROOT.glob("plugins/*/src"))]
FILES = [path for package in PACKAGES for path in sorted(package.rglob("*.cu")) if "template" not in str(path)]


def sources() -> dict[str, CudaSource]:
    """The CUDA C of every installed layer, of the update rules and of the random numbers, by what a test is called."""
    for name in layers.providers():
        _ = layers.load(name).operations.source
    _ = Solver._operations.source
    found = [one for one in gc.get_objects() if isinstance(one, CudaSource)]
    return {f"{one.name}-{'-'.join(sorted(one.signatures))}": one for one in found}


SOURCES = sources()
MODULES = [path for package in PACKAGES for path in sorted(package.rglob("*.py")) if "emulated" not in str(path)]
ARCHITECTURES = ("75", "80", "90", "120")


def cubin(code: str, architecture: str) -> bytes:
    """What NVRTC makes of CUDA C for `sm_<architecture>`, with the options that CuPy adds itself."""
    # CuPy has no public function that compiles for a GPU that is not there; hence the wheel's pinned version.
    program = compiler._NVRTCProgram(code, "kernel.cu", method="cubin")
    options = (*OPTIONS, f"-arch=sm_{architecture}", "--device-as-default-execution-space", "-ftz=true")
    compiled: bytes = program.compile(options)[0]
    return compiled


def test_every_file_belongs_to_a_layer() -> None:
    assert len(SOURCES) >= 10
    assert {path for source in SOURCES.values() for path in source.paths} >= set(FILES)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda number: f"sm_{number}")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SOURCES)
def test_every_kernel_compiles(name: str, dtype: type, architecture: str) -> None:
    source = SOURCES[name]
    compiled = cubin(source.code(np.dtype(dtype)), architecture)
    assert compiled.startswith(b"\x7fELF")
    missing = [name for name in source.signatures if name.encode() not in compiled]
    assert source.signatures and not missing


def test_errors_name_the_line() -> None:
    lines = FILES[0].read_text(encoding="utf-8").count("\n")
    wrong = CudaSource(FILES[0]).code(np.dtype(np.float32)) + "\nthis is not C"
    with pytest.raises(compiler.CompileException, match=f"{FILES[0].name}\\({lines + 2}\\)"):
        cubin(wrong, "80")


def array_module_uses(path: Path) -> list[tuple[str, ast.AST, ast.Call | None]]:
    """The dotted names after `xp`, `self.xp`, `device.xp` or `cupy` in a file, with the call if there is one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        names: list[str] = []
        part: ast.expr = node
        while isinstance(part, ast.Attribute) and part.attr not in ("xp", "_xp", "_cupy"):
            names.insert(0, part.attr)
            part = part.value
        root = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
        if root in ("xp", "_xp", "cupy", "_cupy") and names:
            found.append((".".join(names), node, calls.get(id(node))))
    return found


def resolved(dotted: str) -> Any:
    target: Any = cupy
    for name in dotted.split("."):
        target = getattr(target, name)
    return target


def test_every_name_of_cupy_that_is_used_exists() -> None:
    used, wrong = 0, []
    for path in MODULES:
        for dotted, node, call in array_module_uses(path):
            used += 1
            place = f"{path.relative_to(ROOT)}:{node.lineno}: cupy.{dotted}"  # type: ignore[attr-defined]
            try:
                target = resolved(dotted)
            except AttributeError:
                wrong.append(f"{place} does not exist")
                continue
            if isinstance(target, cupy.ufunc):
                given = {str(keyword.arg) for keyword in call.keywords} if call else set()
                wrong += [f"{place} takes no {name}" for name in sorted(given - {"out", "dtype", "casting"})]
                continue
            plain = call and not any(isinstance(argument, ast.Starred) for argument in call.args)
            if not plain or any(keyword.arg is None for keyword in call.keywords):
                continue
            try:
                signature = inspect.signature(target)
            except (TypeError, ValueError):
                continue
            try:
                signature.bind(*call.args, **{keyword.arg: keyword for keyword in call.keywords})
            except TypeError as error:
                wrong.append(f"{place}: {error}")
    assert used > 100
    assert not wrong, "\n".join(wrong)


def test_the_emulated_device_has_the_names_of_this_wheel() -> None:
    """And the parameters, of methods too; as `record_cupy_names.py` finds them."""
    recorded = json.loads((ROOT / "plugins/emulated/src/bicerin_emulated/cupy_names.json").read_text())
    assert recorded == runpy.run_path(str(ROOT / "plugins/emulated/record_cupy_names.py"))["recorded"]
    assert recorded["version"] == cupy.__version__
    assert recorded["ndarray"]["sum"] == "axis dtype out keepdims"


def test_the_device_says_that_there_is_no_gpu() -> None:
    """With the real CuPy installed, and no driver."""
    from bicerin.device import get_device
    from bicerin.errors import DeviceError

    if cupy.is_available():
        assert get_device("gpu").name == "gpu"
        return
    with pytest.raises(DeviceError, match=rf"CuPy {cupy.__version__} is installed, but finds no GPU that it can use"):
        get_device("gpu")


def test_nccl_is_called_as_it_is() -> None:
    """What bicerin-mpi asks of `cupy.cuda.nccl`, which cannot connect anything without a GPU."""
    nccl = importlib.import_module("cupy.cuda.nccl")
    assert nccl.available, "NCCL is not installed"
    code = (ROOT / "plugins/mpi/src/bicerin_mpi/nccl.py").read_text("utf-8")
    names = {*re.findall(r"library\.(\w+)", code), *re.findall(r"NCCL_\w+", code)}
    assert "get_unique_id" in names and "NCCL_FLOAT16" in names
    assert [name for name in names if not hasattr(nccl, name)] == []
    methods = set(re.findall(r"ranks\.(\w+)\(", code))
    assert "allReduce" in methods and [name for name in methods if not hasattr(nccl.NcclCommunicator, name)] == []
    # Cython's functions have no signature but their docstrings' first line.
    said = nccl.NcclCommunicator
    assert re.search(r"sendbuf, \w+ recvbuf, size_t count, int datatype, int op, \w+ stream\)", said.allReduce.__doc__)
    assert re.search(r"buff, size_t count, int datatype, int root, \w+ stream\)", said.bcast.__doc__)
    assert "NcclCommunicator(int ndev, bytes commId, int rank" in said.__doc__
    number = nccl.get_unique_id()
    assert isinstance(number, bytes) and len(number) == 128
