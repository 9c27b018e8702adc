"""Nets in a runtime beside the same runtime called by hand: `python bench/runtimes.py [NET ...]`.

By hand is what its users write: a session of the exported model, for the same sizes, `session.run(None, {"data": x})`
or `request.infer({"data": x})`, with as many threads as `BICERIN_NUM_THREADS` says where it is set. Ours is
`net.forward(data=x)` of `Net(..., runtime=NAME)`. They take turns in one process, a tenth of a second or one pass each,
after as long that is not timed. Reported are the medians and the ratio of the medians of neighbouring turns, with its
quartiles; and before that the largest difference of an output from what the layers compute, at two batch sizes.

A NET is one of `models.py` or `tasks.py`, or a file. `--verify` compares every blob of the exported model too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import models
import numpy as np
import tasks

import bicerin
import bicerin_onnx
from bicerin.kernels import num_threads
from bicerin_onnx.verification import difference

NAMES = ("lenet", "googlenet", "resnet50", *tasks.NETS)


def source(name: str, batch: int) -> Any:
    if name in tasks.NETS:
        return tasks.NETS[name](batch)
    return models.prototxt(name, batch, False) if name in models.NETS else Path(name)


def built(name: str, batch: int, weights: bicerin.Net | None = None, **options: Any) -> bicerin.Net:
    net = bicerin.Net(source(name, batch), "TEST", seed=1, **options)
    if weights is not None:
        net.load_weights(weights.to_proto())
        return net
    random = np.random.default_rng(4)
    for node in net.nodes:
        if node.type == "BatchNorm":  # statistics that a training could have left
            mean, variance, factor = (blob.data for blob in net.params[node.name])
            mean[...], factor[...] = random.normal(0, 0.1, mean.shape), 1
            variance[...] = random.uniform(0.5, 1.5, variance.shape)
    return net


def inputs(net: bicerin.Net, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    found = {}
    for name in net.inputs:
        shape = net.blobs[name].shape
        if name in ("words", "cont"):
            shape = (shape[0], batch)
        elif name != "im_info":
            shape = (batch, *shape[1:])
        if name == "words":
            array = random.integers(0, 8801, shape)
        elif name == "cont":
            array = random.random(shape) < 0.9
            array[0] = False
        elif name == "im_info":
            array = np.array([[*net.blobs["data"].shape[2:], 1.0]])
        else:
            array = random.normal(size=shape)
        found[name] = array.astype(np.float32)
    return found


def by_hand(runtime: str, model: Any, arrays: dict[str, np.ndarray]) -> Callable[[], Any]:
    raw = model.SerializeToString()
    threads = num_threads() if os.environ.get("BICERIN_NUM_THREADS") else None  # as the runtimes do
    if runtime == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, arrays)
    import openvino

    core = openvino.Core()
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(core.read_model(BytesIO(raw)), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda: [np.array(array) for array in request.infer(arrays, share_inputs=True, share_outputs=True).values()]


def turn(run: Callable[[], Any], seconds: float) -> float:
    began = time.perf_counter()
    run()
    while time.perf_counter() - began < seconds:  # threads of the other's still look for work
        run()
    times: list[float] = []
    began = time.perf_counter()
    while not times or time.perf_counter() - began < seconds:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", default=NAMES)
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--batch", type=int, help="by default 64 for LeNet, else 1")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn")
    parser.add_argument("--verify", action="store_true")
    arguments = parser.parse_args()
    print(f"{'net':24} {'runtime':12} {'batch':>5} {'by hand':>10} {'net':>10} {'ratio (quartiles)':>24}  differs by")
    for name in arguments.nets:
        batch = arguments.batch or (64 if name == "lenet" else 1)
        plain = built(name, batch)
        sizes = (batch,) if "im_info" in plain.inputs else (batch, batch + 1)
        expected = {size: plain.forward(inputs(plain, size)) for size in sizes}
        arrays = inputs(plain, batch)
        plain.forward(arrays)  # the sizes of the model
        model = bicerin_onnx.export(plain, dynamic=False)
        if arguments.verify:
            dynamic = bicerin_onnx.export(plain)
            for size in sizes:
                try:
                    worst = bicerin_onnx.verify(plain, dynamic, inputs(plain, size)).worst[0]
                    print(f"{name:24} every blob, batch {size}: {worst.blob} differs most, by {worst.difference:.1e}")
                except bicerin_onnx.VerificationError as error:
                    print(f"{name:24} batch {size}: {str(error).partition('.')[0]}")
        for runtime in arguments.runtimes:
            net = built(name, batch, plain, runtime=runtime)
            differs = {
                f"{blob}@{size}": difference(found, expected[size][blob])
                for size in sizes
                for blob, found in net.forward(inputs(plain, size)).items()
            }
            worst_blob = max(differs, key=differs.__getitem__)
            net.forward(arrays)
            hand, ours = by_hand(runtime, model, arrays), partial(net.forward, arrays)
            pairs = [(turn(hand, arguments.seconds), turn(ours, arguments.seconds)) for _ in range(arguments.turns)]
            ratios = [mine / theirs for theirs, mine in pairs]
            low, _, high = statistics.quantiles(ratios, n=4)
            theirs, mine = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
            print(
                f"{Path(name).name:24} {runtime:12} {batch:5} {theirs:7.3f} ms {mine:7.3f} ms "
                f"{statistics.median(ratios):8.3f} ({low:.3f}-{high:.3f})   {differs[worst_blob]:.1e} {worst_blob}",
                flush=True,
            )
            net.close()


if __name__ == "__main__":
    main()
