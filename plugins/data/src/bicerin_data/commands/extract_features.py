"""Run a net and store blobs of it in LMDB, LevelDB or HDF5.

Source: Caffe's tool `extract_features`; keys and values are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from bicerin.cli.options import device_option, net_options, runtime_option, verbosity_options


@click.command("extract-features")
@click.argument("weights", metavar="WEIGHTS")
@click.argument("net", metavar="NET")
@click.argument("blobs", metavar="BLOB[,BLOB...]")
@click.argument("outputs", metavar="OUTPUT[,OUTPUT...]")
@click.argument("batches", metavar="BATCHES", type=click.IntRange(min=1))
@click.option(
    "--backend",
    type=click.Choice(["lmdb", "leveldb", "hdf5"]),
    help="The kind of each OUTPUT; by default HDF5 for one that ends in .h5, LMDB for others.",
)
@click.option("--skip-bad-records", is_flag=True, help="Replace records that cannot be read, and count them.")
@device_option("cpu")
@runtime_option
@net_options
@verbosity_options
def extract_features(
    weights: str,
    net: str,
    blobs: str,
    outputs: str,
    batches: int,
    backend: str | None,
    skip_bad_records: bool,
    device: str,
    runtime: str | None,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
) -> None:
    """Run NET with WEIGHTS on BATCHES batches, in the phase TEST, and store each BLOB in its OUTPUT.

    In LMDB and LevelDB, each image's features are a Datum of floats, under its number. In HDF5, a dataset has the
    blob's name and all of its axes. An OUTPUT appears when it is complete.
    """
    from bicerin.cli.progress import counted
    from bicerin.net import Net

    names, targets = blobs.split(","), [Path(output) for output in outputs.split(",")]
    if len(names) != len(targets):
        raise click.UsageError(f"the number of blobs and of outputs must be equal: {len(names)} and {len(targets)}.")
    built = Net(
        Path(net),
        "TEST",
        weights,
        device,
        level=level,
        stages=stages,
        layer_providers=layer_providers,
        skip_bad_records=skip_bad_records,
        runtime=runtime,
        keep=names if runtime is not None else (),
    )
    for name in names:
        if name not in built.blobs:
            raise click.UsageError(
                f'Unknown feature blob name "{name}" in the network "{built.name}", '
                f"which has: {', '.join(built.blobs)}."
            )
    with contextlib.ExitStack() as stack:
        stores = [
            stack.enter_context(_output(name, target, backend or ("hdf5" if target.suffix == ".h5" else "lmdb")))
            for name, target in zip(names, targets, strict=True)
        ]
        counts = [0] * len(names)
        for _ in counted(range(batches), "extracting"):
            built.forward()
            for index, (name, store) in enumerate(zip(names, stores, strict=True)):
                store(built.blobs[name], counts[index])
                counts[index] += built.blobs[name].num
    for name, target, count in zip(names, targets, counts, strict=True):
        click.echo(f"{target}: {count} rows of {name}")


@contextlib.contextmanager
def _output(name: str, path: Path, backend: str) -> Iterator[Callable[[Any, int], None]]:
    """A function that stores a blob, given it and the number of its first row."""
    from bicerin_data.datum import array_datum
    from bicerin_data.hdf5_writer import Hdf5Writer
    from bicerin_data.stores import create_store

    if backend == "hdf5":
        file = Hdf5Writer(path)
        try:
            yield lambda blob, first: file.append({name: blob.read_only.data})
        except BaseException:
            file.discard()
            raise
        file.finish()
    else:
        with create_store(path, backend) as writer:

            def put(blob: Any, first: int) -> None:
                rows = blob.read_only.data.reshape(blob.num, blob.channels, blob.height, blob.width)
                for number, row in enumerate(rows, first):
                    writer.put(f"{number:010d}".encode(), array_datum(row).SerializeToString())

            yield put
