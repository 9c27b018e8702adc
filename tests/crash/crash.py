"""Kill trainings, and look at what is left: `tox run -e crash -- --kills 200 --runs 100`.

`Kills` trains a small net, kills the process at random moments with SIGKILL, SIGTERM, SIGINT and SIGHUP, resumes from
the last snapshot, and compares what comes out in the end with an unbroken run, bit for bit. `status_of` runs commands
over large images, whose data threads are busy when the process ends.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

#: Snapshots of some hundred kilobytes at each iteration, so that many kills come while one is written. The generators
#: of the filler and of Dropout, the order of the shuffled images and Adam's history must all go on where they were.
NET = """
layer { name: "images" type: "ImageData" top: "image" top: "label"
  image_data_param { source: "list" batch_size: 3 shuffle: true } transform_param { mirror: true scale: 0.01 } }
layer { name: "noise" type: "DummyData" top: "noise" dummy_data_param {
  shape { dim: 3 dim: 3 dim: 8 dim: 8 } data_filler { type: "gaussian" } } }
layer { name: "sum" type: "Eltwise" bottom: "image" bottom: "noise" top: "sum" }
layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc"
  inner_product_param { num_output: 100 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" }
layer { name: "out" type: "InnerProduct" bottom: "fc" top: "out"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "out" bottom: "label" top: "loss" }
"""

SOLVER = """
net: "net.prototxt" type: "Adam" base_lr: 0.01 momentum: 0.9 lr_policy: "fixed" max_iter: {iterations} random_seed: 3
snapshot: {snapshot} snapshot_prefix: "s" display: 0
"""

#: The command of this environment.
BICERIN = str(Path(sys.executable).with_name("bicerin"))

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: How a process may end after a signal. One that comes before Bicerin listens, or after the end, does what it does to
#: every Python.
STATUS = {
    signal.SIGKILL: {-9, 0},
    signal.SIGTERM: {-15, 143, 0},
    signal.SIGINT: {-2, 130, 0, 1},
    signal.SIGHUP: {-1, -9, 0},
}


class Lost(AssertionError):
    """A training that did not survive."""


def training(folder: Path, iterations: int, snapshot: int) -> Path:
    """A folder with a net, its images and a solver; returns the folder."""
    import cv2

    folder.mkdir(parents=True)
    pictures = np.random.default_rng(0)
    for index in range(10):
        cv2.imwrite(str(folder / f"{index}.png"), pictures.integers(0, 255, (8, 8, 3)).astype(np.uint8))
    (folder / "list").write_text("".join(f"{index}.png {index % 5}\n" for index in range(10)))
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER.format(iterations=iterations, snapshot=snapshot))
    return folder


def train(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [BICERIN, "--quiet", "train", "solver.prototxt", *arguments]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def snapshots(folder: Path) -> list[Path]:
    """The solver states, in their order."""
    return sorted(folder.glob("s_iter_*.solverstate"), key=lambda path: int(path.stem.rpartition("_")[2]))


def litter(folder: Path) -> list[str]:
    """What is there beside the training's own files and its snapshots."""
    own = {"list", "net.prototxt", "solver.prototxt"}
    names = (path.name for path in folder.iterdir())
    return sorted(
        name
        for name in names
        if name not in own and not name.endswith(".png") and not (name.startswith("s_iter_") and ".tmp" not in name)
    )


class Kills:
    """Kills in a folder of its own.

    Attributes:
        kills: how many there were, by signal.
        rounds: how many trainings came to their end, each compared with the unbroken one.
    """

    def __init__(self, folder: Path, iterations: int = 40, snapshot: int = 1, seed: int = 0) -> None:
        self.folder = folder
        self.iterations = iterations
        self.snapshot = snapshot
        self.random = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.rounds = 0
        unbroken = training(folder / "unbroken", iterations, snapshot)
        _finish(train(unbroken))
        start = time.monotonic()
        _finish(train(unbroken))  # everything is compiled now
        self.seconds = time.monotonic() - start
        self.expected = self._results(unbroken)

    def _results(self, folder: Path) -> dict[str, bytes]:
        names = [f"s_iter_{self.iterations}.{kind}" for kind in ("caffemodel", "solverstate")]
        return {name: (folder / name).read_bytes() for name in names}

    def run(self, kills: int) -> None:
        """Raise `Lost` where something did not survive `kills` kills."""
        while sum(self.kills.values()) < kills:
            self._round(kills)

    def _round(self, kills: int) -> None:
        """A training that is killed again and again, and then left in peace."""
        folder = training(self.folder / f"round{self.rounds}", self.iterations, self.snapshot)
        for _ in range(6):
            if sum(self.kills.values()) >= kills:
                break
            self._kill(folder)
        _finish(train(folder, *_resumed(folder)))
        left = litter(folder)
        if left:
            raise Lost(f"{folder}: the last run left {left}")
        for name, expected in self.expected.items():
            if (folder / name).read_bytes() != expected:
                raise Lost(f"{folder / name} differs from the unbroken run's")
        self.rounds += 1
        shutil.rmtree(folder)

    def _kill(self, folder: Path) -> None:
        number = self.random.choice(SIGNALS)
        # From the start of the process to a little after its end.
        delay = self.random.uniform(0.2, 1.05) * self.seconds
        process = train(folder, *_resumed(folder))
        time.sleep(delay)
        process.send_signal(number)
        if number == signal.SIGHUP:  # it writes a snapshot and goes on
            time.sleep(self.random.uniform(0, 0.3))
            process.kill()
        self.kills[signal.Signals(number).name] += 1
        _, errors = process.communicate(timeout=120)
        if process.returncode not in STATUS[number]:
            raise Lost(f"{folder}: status {process.returncode} after {number.name}\n{errors}")
        for state in snapshots(folder):
            if not state.with_suffix(".caffemodel").exists():
                raise Lost(f"{state} has no weights")


def _resumed(folder: Path) -> list[str]:
    found = snapshots(folder)
    return ["--resume", found[-1].name] if found else []


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    if process.returncode:
        raise Lost(f"status {process.returncode} of a run that nobody killed\n{errors}")


# Ends of processes with busy data threads

LARGE = 1500


def large_images(folder: Path) -> Path:
    """Large images as files, as encoded records of LMDB, as windows and with annotations; a net over each."""
    import cv2
    import lmdb

    from bicerin.layer.layer import layers
    from bicerin.schema.installed_schema import schema

    folder.mkdir(parents=True, exist_ok=True)
    pictures = np.random.default_rng(0)
    files = []
    for index in range(3):
        small = pictures.integers(0, 256, (LARGE // 10, LARGE // 10, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index}.jpg"), cv2.resize(small, (LARGE, LARGE)))
        files.append((folder / f"{index}.jpg").read_bytes())
    (folder / "list").write_text("".join(f"{index}.jpg {index}\n" for index in range(3)))
    windows = [
        f"# {index}\n{index}.jpg\n3\n{LARGE}\n{LARGE}\n2\n1 0.9 5 5 900 900\n0 0 9 9 700 800\n" for index in range(3)
    ]
    (folder / "windows").write_text("".join(windows))
    nets = {
        "ImageData": 'image_data_param { source: "list" batch_size: 2 }',
        "Data": 'data_param { source: "db" backend: LMDB batch_size: 2 }',
        "WindowData": 'window_data_param { source: "windows" batch_size: 4 fg_fraction: 0.5 fg_threshold: 0.5 '
        "bg_threshold: 0.5 } transform_param { crop_size: 200 }",
    }
    with lmdb.open(str(folder / "db"), map_size=1 << 27) as store, store.begin(write=True) as transaction:
        for index, data in enumerate(files):
            datum = schema().Datum(encoded=True, data=data, label=index)
            transaction.put(f"{index:08}".encode(), datum.SerializeToString())
    if "AnnotatedData" in layers:
        with lmdb.open(str(folder / "boxes"), map_size=1 << 27) as store, store.begin(write=True) as transaction:
            for index, data in enumerate(files):
                record = schema().AnnotatedDatum(type=0)
                record.datum.CopyFrom(schema().Datum(encoded=True, data=data, label=-1))
                group = record.annotation_group.add(group_label=1)
                group.annotation.add().bbox.CopyFrom(schema().NormalizedBBox(xmin=0.1, ymin=0.1, xmax=0.8, ymax=0.9))
                transaction.put(f"{index:08}".encode(), record.SerializeToString())
        nets["AnnotatedData"] = (
            'data_param { source: "boxes" backend: LMDB batch_size: 2 } '
            "transform_param { resize_param { prob: 1 resize_mode: WARP height: 300 width: 300 } }"
        )
    for kind, options in nets.items():
        net = f"""layer {{ name: "data" type: "{kind}" top: "data" top: "label" {options} }}
          layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool"
            pooling_param {{ pool: AVE global_pooling: true }} }}
          layer {{ name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param {{ num_output: 2 }} }}
          layer {{ name: "s" type: "Silence" bottom: "label" }}
          layer {{ name: "loss" type: "Reduction" bottom: "fc" top: "loss" loss_weight: 1 }}"""
        (folder / f"{kind}.prototxt").write_text(net)
        (folder / f"{kind}_solver.prototxt").write_text(
            f'net: "{kind}.prototxt" base_lr: 0.0001 lr_policy: "fixed" max_iter: 2 snapshot_after_train: false'
        )
    return folder


def commands(folder: Path) -> Iterator[list[str]]:
    """`train`, `test` and, where it is installed, `caffe train`, over each kind of data."""
    caffe = Path(sys.executable).with_name("caffe")
    for solver in sorted(folder.glob("*_solver.prototxt")):
        net = solver.name.replace("_solver", "")
        program = [BICERIN, "--quiet"]
        yield [*program, "train", solver.name]
        yield [*program, "test", net, "--iterations", "2"]
        if caffe.exists():
            yield [str(caffe), "train", f"--solver={solver.name}"]


def status_of(command: list[str], folder: Path) -> None:
    """Raise `Lost` where a command does not end with status 0."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Lost(f"status {done.returncode} of {' '.join(command)}\n{done.stdout}{done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--runs", type=int, default=100, help="of each command over large images")
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = int(time.time()) if arguments.seed is None else arguments.seed
    folder = Path(tempfile.mkdtemp(prefix="crash"))
    print(f"seed {seed}, in {folder}", flush=True)
    lost = 0
    if arguments.kills:
        kills = Kills(folder / "kills", seed=seed)
        try:
            while sum(kills.kills.values()) < arguments.kills:
                kills.run(min(arguments.kills, sum(kills.kills.values()) + 6))
                print(f"{sum(kills.kills.values())} kills, {kills.rounds} trainings compared", flush=True)
        except Lost as error:
            lost += 1
            print(error)
        print(
            f"{sum(kills.kills.values())} kills ({dict(kills.kills)}), {kills.rounds} trainings compared, {lost} lost"
        )
    if arguments.runs:
        images = large_images(folder / "images")
        for command in commands(images):
            failed = 0
            for _ in range(arguments.runs):
                try:
                    status_of(command, images)
                except Lost as error:
                    failed += 1
                    print(error)
            lost += failed
            words = " ".join(word for word in command[-4:] if not word.startswith("/"))
            print(f"{words}: status 0 of {arguments.runs - failed} of {arguments.runs} runs", flush=True)
    if not lost:
        shutil.rmtree(folder)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
