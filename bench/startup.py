"""What installed plugins cost at start-up: `import bicerin` and building LeNet, with and without 200 distributions.

    python bench/startup.py [--distributions 200] [--layers 10] [--repeat 15]

The distributions are folders of metadata as an installer writes them, each with a README, ten layers and, with
`--schemas`, a compiled schema of its own. Each measurement is a new process; processes with and without take turns, and
medians are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NET = ROOT / "examples" / "mnist" / "lenet_train_test.prototxt"

#: What is measured. The data layers' stores need not exist: each is replaced by an Input.
MEASURED = f"""
import time
began = time.perf_counter()
import bicerin
import bicerin_proto
from bicerin.schema.installed_schema import schema
net = bicerin_proto.read_net({str(NET)!r}, schema()).message
del net.layer[0]
net.layer[0].CopyFrom(schema().LayerParameter(name="data", type="Input", top=["data", "label"]))
for dims in ((64, 1, 28, 28), (64,)):
    net.layer[0].input_param.shape.add().dim.extend(dims)
built = bicerin.Net(net, phase="TRAIN")
assert len(built.layers) > 8
print(time.perf_counter() - began)
"""

SCHEMA = """
syntax = "proto2";
package fake{number};
message Fake{number}Parameter {{ optional uint32 size = 1 [default = 3]; optional float scale = 2; }}
message LayerParameter {{ optional Fake{number}Parameter fake{number}_param = {field}; }}
"""


def write_distributions(folder: Path, distributions: int, layers: int, schemas: bool) -> None:
    for number in range(distributions):
        info = folder / f"fake_layers_{number}-1.0.dist-info"
        info.mkdir()
        readme = "\n".join(["A line of a README, as a distribution's metadata has it."] * 80)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: fake-layers-{number}\nVersion: 1.0\nSummary: Layers\n"
            f"Requires-Dist: bicerin<0.2,>=0.1\n\n{readme}\n"
        )
        lines = [f"Fake{number}Layer{layer} = fake{number}.layers:Layer{layer}" for layer in range(layers)]
        entry_points = ["[bicerin.layer_api]", "1 = bicerin.layer", "", "[bicerin.layers]", *lines]
        if schemas:
            package = folder / f"fake{number}"
            package.mkdir()
            (package / "__init__.py").touch()
            source = package / "fake.proto"
            source.write_text(SCHEMA.format(number=number, field=1_000_000 + number % 150))
            entry_points += ["", "[bicerin.schemas]", f"fake{number} = fake{number}:fake.binpb"]
        (info / "entry_points.txt").write_text("\n".join(entry_points) + "\n")
        (info / "RECORD").touch()
    if schemas:
        from bicerin_proto.compile import compile_proto

        for source in folder.glob("*/fake.proto"):
            source.with_suffix(".binpb").write_bytes(compile_proto(source))


def measure(path: Path | None) -> float:
    """Milliseconds of one process."""
    variables = {**os.environ, "PYTHONPATH": str(path) if path else ""}
    done = subprocess.run([sys.executable, "-c", MEASURED], env=variables, capture_output=True, text=True, check=True)
    return 1000 * float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--distributions", type=int, default=200)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--schemas", action="store_true", help="each distribution adds a field to the schema too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_distributions(folder, options.distributions, options.layers, options.schemas)
        for path in (None, folder):
            measure(path)  # compiles kernels and bytecode, and fills the disk's cache
        without, with_them = [], []
        for _ in range(options.repeat):
            without.append(measure(None))
            with_them.append(measure(folder))
    base, more = statistics.median(without), statistics.median(with_them)
    print(f"import bicerin and build LeNet, medians of {options.repeat} processes each:")
    print(f"  without                                {base:7.1f} ms")
    print(f"  with {options.distributions} distributions of {options.layers} layers    {more:7.1f} ms")
    print(f"  difference                             {more - base:7.1f} ms  (100 ms are allowed)")


if __name__ == "__main__":
    main()
