"""Start-up stays flat, however many plugins are installed: of each the metadata is read once, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LENET = Path(__file__).parent / "recorded" / "models" / "lenet.prototxt"
INSTALLED = "from bicerin.layer import layers; print(sum(name.startswith('Fake') for name in layers.providers()))"

# What is opened is counted, since a clock would tell what else the machine is doing.
OPENED = f"""
import collections, json, pathlib
opened = collections.Counter()
def count(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and "fake_" in arguments[0]:
        opened[str(pathlib.Path(arguments[0]).relative_to(sys.path[-1]))] += 1
sys.addaudithook(count)
import bicerin
bicerin.Net({str(LENET)!r})
print(json.dumps(opened))
"""


def run(code: str, folder: Path) -> str:
    path = f"import sys; sys.path.append({str(folder)!r})\n"
    return subprocess.run([sys.executable, "-c", path + code], capture_output=True, check=True, text=True).stdout


def test_two_hundred_distributions_of_ten_layers(tmp_path: Path) -> None:
    files = []
    for number in range(200):
        info = tmp_path / f"fake_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-{number}\nVersion: 1.0\n\nWhat it is for.\n")
        layers = "".join(f"Fake{number}x{layer} = fake_{number}.layers:Layer{layer}\n" for layer in range(10))
        (info / "entry_points.txt").write_text(f"[bicerin.layer_api]\n1 = bicerin.layer\n\n[bicerin.layers]\n{layers}")
        (tmp_path / f"fake_{number}").mkdir()
        (tmp_path / f"fake_{number}" / "layers.py").write_text("raise ImportError('nobody asked for this layer')\n")
        files += [f"{info.name}/METADATA", f"{info.name}/entry_points.txt"]
    assert int(run(INSTALLED, tmp_path)) == 2000
    assert json.loads(run(OPENED, tmp_path)) == dict.fromkeys(files, 1)
