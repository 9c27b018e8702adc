"""Start-up stays flat, however many plugins are installed: their metadata is read, and nothing else of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LENET = Path(__file__).parent / "recorded" / "models" / "lenet.prototxt"
README = "What a plugin is for.\n" * 500

# Of the processor, since the clock would tell what else the machine is doing.
SECONDS = f"import bicerin, time; bicerin.Net({str(LENET)!r}); print(time.process_time())"
INSTALLED = "from bicerin.layer import layers; print(sum(name.startswith('Fake') for name in layers.providers()))"


def run(code: str, folder: Path | None) -> float:
    path = f"import sys; sys.path.append({str(folder)!r})\n" if folder is not None else ""
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, check=True, text=True)
    return float(done.stdout)


def test_two_hundred_distributions_of_ten_layers(tmp_path: Path) -> None:
    for number in range(200):
        info = tmp_path / f"fake_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-{number}\nVersion: 1.0\n\n{README}")
        layers = "".join(f"Fake{number}x{layer} = fake_{number}.layers:Layer{layer}\n" for layer in range(10))
        (info / "entry_points.txt").write_text(f"[bicerin.layer_api]\n1 = bicerin.layer\n\n[bicerin.layers]\n{layers}")
    assert run(INSTALLED, tmp_path) == 2000
    alone, among_them = [], []
    for _ in range(3):
        alone.append(run(SECONDS, None))
        among_them.append(run(SECONDS, tmp_path))
    assert min(among_them) - min(alone) < 0.1
