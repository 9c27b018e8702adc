"""The cost of a layer call apart from its arithmetic: `python bench/overhead.py`.

Nets of 10 to 1,000 layers over blobs of 8 numbers, of one type each. Their time, by the number of layers, is the cost
of a call; it must be a line: no layer pays for how many others there are.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import bicerin

HERE = Path(__file__).parent
FILLER = 'weight_filler { type: "xavier" }'
KINDS = {
    "ReLU": "",
    "Dropout": "",
    "Power": "power_param { scale: 2 }",
    "Scale": "",
    "BatchNorm": "",
    "Pooling": "pooling_param { kernel_size: 1 }",
    "Convolution": f"convolution_param {{ num_output: 2 kernel_size: 1 {FILLER} }}",
    "InnerProduct": f"inner_product_param {{ num_output: 8 {FILLER} }}",
    "Eltwise": "",
    "Softmax": "",
}
COUNTS = (10, 30, 100, 300, 1000)


def net(kind: str, count: int) -> bicerin.Net:
    text = 'layer { name: "l0" type: "Input" top: "l0" input_param { shape { dim: 1 dim: 2 dim: 2 dim: 2 } } }\n'
    for index in range(count):
        bottoms = f'bottom: "l{index}"' * (2 if kind == "Eltwise" else 1)
        text += f'layer {{ name: "l{index + 1}" type: "{kind}" {bottoms} top: "l{index + 1}" {KINDS[kind]} }}\n'
    return bicerin.Net(text, phase="TEST", seed=0)


def microseconds(built: bicerin.Net, calls: int = 20_000) -> float:
    """Of a layer call, the best of a few."""
    count = len(built.layers)
    repeats = max(2, calls // count // 5)
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        for _ in range(repeats):
            built.run_forward()
        best = min(best, (time.perf_counter() - started) / repeats)
    return 1e6 * best / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--output", type=Path, default=HERE / "overhead.json")
    arguments = parser.parse_args()
    found: dict[str, dict[int, float]] = {}
    print("microseconds a call".ljust(20) + "".join(f"{count:8}" for count in arguments.counts) + "  layers")
    for kind in arguments.kinds:
        found[kind] = {count: microseconds(net(kind, count)) for count in arguments.counts}
        print(kind.ljust(20) + "".join(f"{value:8.1f}" for value in found[kind].values()), flush=True)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")
    try:
        plot(found, arguments.output.with_suffix(".png"))
    except ImportError:
        print("no plot: matplotlib is not installed")


def plot(found: dict[str, dict[int, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for kind, values in found.items():
        axes.loglog(values.keys(), [1e-3 * count * value for count, value in values.items()], marker=".", label=kind)
    counts = list(next(iter(found.values())))
    axes.loglog(counts, [0.015 * count for count in counts], color="black", linestyle=":", label="15 µs a layer")
    axes.set_xlabel("layers")
    axes.set_ylabel("forward pass, ms")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
