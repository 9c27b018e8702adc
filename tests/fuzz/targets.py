"""What is done with an input: one function for each kind, run by the worker in an empty folder.

A function returns, or raises what the code under test raised. Inputs are JSON values; bytes are base64.
"""

from __future__ import annotations

import base64
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import bicerin

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 2 } }
layer { name: "bn" type: "BatchNorm" bottom: "fc" top: "bn" }
layer { name: "loss" type: "Reduction" bottom: "bn" top: "loss" loss_weight: 1 }
"""

SOLVER = f"""
net_param {{ {NET} }} base_lr: 0.1 lr_policy: "fixed" type: "Adam" momentum: 0.9 max_iter: 4 random_seed: 1
snapshot_prefix: "s" snapshot_after_train: false
"""


def warm() -> None:
    """Import and compile what the inputs are mostly for, before memory is limited."""
    import click.testing  # noqa: F401
    import cv2
    import h5py  # noqa: F401
    import lmdb  # noqa: F401

    import bicerin.cli.command_line
    import bicerin_proto  # noqa: F401
    from bicerin.layer.layer import layers

    cv2.setNumThreads(1)
    logging.disable(logging.CRITICAL)
    np.seterr(all="ignore")
    for name in layers.providers():
        with suppress(bicerin.BicerinError):
            layers.load(name)
    solver = bicerin.Solver(SOLVER)
    solver.step(1)


def bytes_of(text: str) -> bytes:
    return base64.b64decode(text)


def _through(net: Any) -> None:
    """Forward, and backward where there is something to learn."""
    net.run_forward()
    net.run_backward()


def run_net(given: dict[str, Any]) -> None:
    _through(bicerin.Net(given["text"], given["phase"]))


def run_solver(given: dict[str, Any]) -> None:
    solver = bicerin.Solver(given["text"])
    solver.step(1)
    solver.snapshot()


def run_wire(given: dict[str, Any]) -> None:
    kind, data = given["kind"], bytes_of(given["bytes"])
    if kind == "caffemodel":
        Path("w.caffemodel").write_bytes(data)
        net = bicerin.Net(NET, "TEST", weights="w.caffemodel")
        net.run_forward()
    elif kind == "net":
        Path("n.binaryproto").write_bytes(data)
        bicerin.Net("n.binaryproto", "TRAIN").run_forward()
    elif kind == "solverstate":
        solver = bicerin.Solver(SOLVER)
        solver.net.save("s_iter_1.caffemodel")
        Path("s_iter_1.solverstate").write_bytes(data)
        before = [blob.data.copy() for blob in solver.net.params["fc"]]
        try:
            solver.restore("s_iter_1.solverstate")
        except bicerin.BicerinError:
            after = [blob.data for blob in solver.net.params["fc"]]
            assert all(map(np.array_equal, before, after)), "a restore that was refused changed the weights"
            assert solver.iteration == 0, "a restore that was refused changed the iteration"
            raise
        solver.step(1)
    else:
        Path("mean.binaryproto").write_bytes(data)
        text = """layer { name: "d" type: "MemoryData" top: "x" top: "y"
          transform_param { mean_file: "mean.binaryproto" }
          memory_data_param { batch_size: 1 channels: 3 height: 4 width: 4 } }"""
        bicerin.Net(text, "TEST")


def run_hdf5(given: dict[str, Any]) -> None:
    import h5py

    kind = given["kind"]
    solver = bicerin.Solver(SOLVER + " snapshot_format: HDF5")
    if kind == "data":
        path = Path("d.h5")
        with h5py.File(path, "w") as file:
            file["x"] = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
            file["y"] = np.arange(4, dtype=np.float32)
    else:
        solver.step(1)
        state = solver.snapshot()
        path = state if kind == "state" else state.with_name(state.name.replace("solverstate", "caffemodel"))
    for change in given["changes"]:
        _change_hdf5(path, change)
    if kind == "weights":
        bicerin.Net(NET, "TEST", weights=str(path)).run_forward()
    elif kind == "state":
        fresh = bicerin.Solver(SOLVER + " snapshot_format: HDF5")
        fresh.restore(path)
        fresh.step(1)
    else:
        Path("list.txt").write_text("d.h5\n")
        net = bicerin.Net(
            """layer { name: "d" type: "HDF5Data" top: "x" top: "y"
              hdf5_data_param { source: "list.txt" batch_size: 3 } }""",
            "TEST",
        )
        net.run_forward()
        net.run_forward()


def _change_hdf5(path: Path, change: dict[str, Any]) -> None:
    import h5py

    if change["op"] == "cut":
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * change["at"])])
        return
    if change["op"] == "flip":
        data = bytearray(path.read_bytes())
        if data:
            data[int((len(data) - 1) * change["at"])] ^= change["bits"]
            path.write_bytes(data)
        return
    try:
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return
            name = names[change["which"] % len(names)]
            if change["op"] == "remove":
                del file[name]
            elif change["op"] == "link":
                del file[name]
                file[name] = h5py.SoftLink("/") if change["which"] % 2 else h5py.ExternalLink("other.h5", "/x")
            else:
                del file[name]
                file[name] = _values(change["dtype"], tuple(change["shape"]))
    except (OSError, KeyError, ValueError, RuntimeError, TypeError):
        return  # it is damaged too much already


def _values(dtype: str, shape: tuple[int, ...]) -> Any:
    if dtype == "text":
        return np.full(shape, b"abc", "S3")
    if dtype == "compound":
        return np.zeros(shape, [("a", "f4"), ("b", "i8")])
    if dtype == "group":
        import h5py

        return h5py.SoftLink("nowhere")
    return np.ones(shape, dtype)


def run_records(given: dict[str, Any]) -> None:
    import lmdb

    with lmdb.open("db", map_size=1 << 26) as store, store.begin(write=True) as transaction:
        for index, record in enumerate(given["records"]):
            transaction.put(f"{index:08}".encode(), bytes_of(record))
    text = f"""layer {{ name: "d" type: "{given["type"]}" top: "x" top: "y" {given["options"]}
      data_param {{ source: "db" backend: LMDB batch_size: 2 }} }}"""
    net = bicerin.Net(text, given["phase"])
    try:
        net.run_forward()
        net.run_forward()
    finally:
        for node in net.nodes:
            node.layer.close()


def run_image(given: dict[str, Any]) -> None:
    Path("a.img").write_bytes(bytes_of(given["bytes"]))
    Path("list.txt").write_text(given["list"], encoding="utf-8", errors="surrogateescape")
    text = f"""layer {{ name: "d" type: "ImageData" top: "x" top: "y" {given["transform"]}
      image_data_param {{ source: "list.txt" batch_size: 2 {given["options"]} }} }}"""
    net = bicerin.Net(text, given["phase"])
    try:
        net.run_forward()
    finally:
        for node in net.nodes:
            node.layer.close()


def run_layer(given: dict[str, Any]) -> None:
    from bicerin.testing import run_layer as run

    layer = run(given["definition"], [_bottom(*bottom) for bottom in given["bottoms"]], phase=given["phase"])
    try:
        layer.forward()
        for blob in layer.top:
            blob.diff.fill(1)
        if given["backward"]:
            layer.backward()
    finally:
        layer.layer.close()


def _bottom(shape: list[int], kind: str) -> np.ndarray:
    random = np.random.default_rng(len(shape) + sum(shape))
    if kind == "labels":
        return random.integers(0, 3, shape).astype(np.float64)
    if kind == "outside":
        return random.integers(-2, 2000, shape).astype(np.float64)
    values = random.normal(size=shape)
    if kind == "not finite":
        values[values > 0.5] = np.inf
        values[values < -0.5] = np.nan
    if kind == "huge":
        values *= 1e38
    return values


IMAGES = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 6 dim: 6 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 2 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""

LOG = "I0101 00:00:00.1 1 solver.cpp:1] Iteration 0, loss = 1\nnot a log \x1b[0m\n"


def _files() -> None:
    """What commands may name."""
    import cv2

    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)
    bicerin.Net(NET, "TEST").save("w.caffemodel")
    Path("images.prototxt").write_text(IMAGES)
    bicerin.Net(IMAGES, "TEST").save("images.caffemodel")
    Path("text.txt").write_text(LOG)
    Path("bytes.bin").write_bytes(bytes(range(256)))
    Path("empty").write_text("")
    Path("folder").mkdir()
    np.savez("arrays.npz", data=np.ones((2, 3), np.float32))
    for index in range(4):
        path = Path("pictures", "ab"[index % 2], f"{index}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", np.full((8, 8, 3), 60 * index, np.uint8))[1].tobytes())


def run_command(given: dict[str, Any]) -> None:
    _files()
    _invoke(*given["arguments"])


def _invoke(*arguments: str) -> None:
    from click.testing import CliRunner

    from bicerin.cli.command_line import command_line

    logging.disable(logging.NOTSET)
    try:
        result = CliRunner().invoke(command_line, list(arguments))
    finally:
        logging.disable(logging.CRITICAL)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2), f"exit status {result.exit_code}"
    assert "Traceback" not in result.output, result.output


def run_file(given: dict[str, Any]) -> None:
    """Files of arrays, choices, logs, names of classes and recorded cases."""
    from bicerin.cli.lazy_group import commands

    kind, data = given["kind"], bytes_of(given["bytes"])
    _files()
    Path("f").write_bytes(data)
    if kind == "arrays":
        from bicerin.net.arrays_file import read_arrays

        if "report" in commands:
            _invoke("report", "net.prototxt", "-w", "w.caffemodel", "--inputs", "f", "-o", "page.html")
        read_arrays("f")
    elif kind == "choices":
        from bicerin.kernels import choices

        os.environ["BICERIN_CHOICES"] = "f"
        choices._chosen.clear()
        try:
            assert choices.choice("k", {"a": int, "b": int}) in ("a", "b")
        finally:
            del os.environ["BICERIN_CHOICES"]
    elif kind == "log":
        _invoke("parse-log", "f", "folder")
        if "report" in commands:
            _invoke("report", "net.prototxt", "f", "-o", "page.html")
    else:
        _invoke("predict", "images.prototxt", "pictures/a/0.png", "-w", "images.caffemodel", "--labels", "f")


def run_code(given: dict[str, Any]) -> None:
    """For the tests of the worker."""
    exec(given["code"], {})
