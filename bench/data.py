"""How fast `Data` reads, beside what nothing can be faster than.

    python bench/data.py [--batch 64] [--crop 227] [--size 256] [--turns 9] [--threads 2] [--compare FOLDER]

Encoded images (JPEG) are compared with OpenCV's decoder alone: in one thread, times the threads, and in all threads at
once, which is less where they share caches and clock. Raw ones are compared with NumPy copying bytes to floats, batch
after batch. All take turns, so that other work on the machine slows each alike; medians are printed. CPU is the
processor time of all threads for an image: it says what each costs where turns do not help, on a busy machine.

With --compare, the folder's Bicerin (a clone of another state) takes turns too, in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

_IMAGES = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--crop", type=int, default=227)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ["BICERIN_NUM_THREADS"] = str(args.threads)
    if args.folder:
        obey(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        args.folder = Path(folder)
        encoded = write_stores(args.folder, args.size)
        report(args, encoded)


def write_stores(folder: Path, size: int) -> list[bytes]:
    """A store of encoded and one of raw images, smooth with some noise; returns the encoded ones."""
    import cv2
    import numpy as np

    import bicerin_proto
    from bicerin_data.datum import array_datum
    from bicerin_data.stores import create_store

    random = np.random.default_rng(0)
    images, encoded = [], []
    for _ in range(_IMAGES):
        smooth = cv2.resize(random.uniform(0, 255, (24, 24, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
        noise = cv2.resize(random.uniform(-30, 30, (96, 96, 3)), (size, size))
        images.append(np.clip(smooth + noise, 0, 255).astype(np.uint8))
        encoded.append(cv2.imencode(".jpg", images[-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    with create_store(folder / "encoded", "lmdb") as writer:
        for index, data in enumerate(encoded):
            datum = bicerin_proto.Datum(channels=3, height=size, width=size, data=data, label=index, encoded=True)
            writer.put(b"%08d" % index, datum.SerializeToString())
    with create_store(folder / "raw", "lmdb") as writer:
        for index, image in enumerate(images):
            writer.put(b"%08d" % index, array_datum(image.transpose(2, 0, 1), index).SerializeToString())
    return encoded


def nets(args: argparse.Namespace) -> dict[str, Callable[[], int]]:
    """For each store, what runs its net over so many images."""
    import bicerin

    def runner(store: str) -> Callable[[], int]:
        net = bicerin.Net(
            f'layer {{ name: "{store}" type: "Data" top: "data" top: "label" transform_param {{ crop_size: {args.crop} '
            "mirror: true mean_value: 104 mean_value: 117 mean_value: 123 } "
            f'data_param {{ source: "{args.folder / store}" backend: LMDB batch_size: {args.batch} }} }}',
            phase="TRAIN",
        )

        def run() -> int:
            passes = -(-_IMAGES // args.batch)
            for _ in range(passes):
                net.run_forward()
            return passes * args.batch

        return run

    return {"encoded": runner("encoded"), "raw": runner("raw")}


def measured(run: Callable[[], int]) -> tuple[float, float]:
    """Images a second, and microseconds of processor time for each; the first run is to be ready, and not counted."""
    run()
    started, cpu = time.perf_counter(), time.process_time()
    number = run()
    return number / (time.perf_counter() - started), (time.process_time() - cpu) / number * 1e6


def obey(args: argparse.Namespace) -> None:
    """In a process of its own: measure what each line on standard input names."""
    runs = nets(args)
    print("ready", flush=True)
    for line in sys.stdin:
        rate, cpu = measured(runs[line.strip()])
        time.sleep(0.5)  # until it has read ahead, and leaves the processors to the next
        print(rate, cpu, flush=True)


def report(args: argparse.Namespace, encoded: list[bytes]) -> None:
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    data = [np.frombuffer(one, np.uint8) for one in encoded]

    def decode(images: list[np.ndarray]) -> int:
        for image in images:
            cv2.imdecode(image, cv2.IMREAD_UNCHANGED)
        return len(images)

    def decode_in_all() -> int:
        threads = [threading.Thread(target=decode, args=(data[i :: args.threads],)) for i in range(args.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(data)

    pixels = np.zeros((3, args.size, args.size), np.uint8)[:, : args.crop, : args.crop]
    batch = np.empty((args.batch, 3, args.crop, args.crop), np.float32)

    def copy() -> int:
        for index in range(_IMAGES):
            np.copyto(batch[index % args.batch], pixels)
        return _IMAGES

    others = {}
    for name, folder in (("", None), ("other ", args.compare)):
        if name and folder is None:
            continue
        paths = [str(path) for path in (folder.glob("**/src") if folder else ()) if ".venv" not in path.parts]
        process = subprocess.Popen(
            [sys.executable, __file__, *sys.argv[1:], "--folder", str(args.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        assert process.stdin and process.stdout
        process.stdout.readline()
        others[name] = process

    def asked(name: str, store: str) -> tuple[float, float]:
        process = others[name]
        assert process.stdin and process.stdout
        print(store, file=process.stdin, flush=True)
        rate, cpu = process.stdout.readline().split()
        return float(rate), float(cpu)

    turns: dict[str, list[tuple[float, float]]] = {}
    for _ in range(args.turns):
        turns.setdefault("decoder, 1 thread", []).append(measured(lambda: decode(data)))
        turns.setdefault(f"decoder, {args.threads} threads", []).append(measured(decode_in_all))
        for name in others:
            turns.setdefault(f"{name}Data, encoded", []).append(asked(name, "encoded"))
        turns.setdefault("copy, 1 thread", []).append(measured(copy))
        for name in others:
            turns.setdefault(f"{name}Data, raw", []).append(asked(name, "raw"))
    one = np.array(turns["decoder, 1 thread"])[:, 0]
    every = np.array(turns[f"decoder, {args.threads} threads"])[:, 0]
    copied = np.array(turns["copy, 1 thread"])[:, 0]
    print(f"{'':22} images/s   CPU us   of {args.threads} x one decoder   of {args.threads} decoders   of copies")
    for name, found in turns.items():
        rates, cpu = np.array(found).T
        line = f"{name:22}{np.median(rates):9.0f}{np.median(cpu):9.0f}"
        if "raw" not in name and "copy" not in name:
            line += f"{np.median(rates / one / args.threads):16.2f}{np.median(rates / every):21.2f}"
        else:
            line += f"{np.median(rates / copied):49.2f}"
        print(line)
    for process in others.values():
        assert process.stdin
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()
