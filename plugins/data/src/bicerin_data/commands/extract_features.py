"""Run a net and store blobs of it in LMDB, LevelDB or HDF5.

Source: Caffe's tool `extract_features`; keys and values are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bicerin.cli.options import net_options, verbosity_options


@click.command("extract-features")
@click.argument("weights", metavar="WEIGHTS")
@click.argument("net", metavar="NET")
@click.argument("blobs", metavar="BLOB[,BLOB...]")
@click.argument("outputs", metavar="OUTPUT[,OUTPUT...]")
@click.argument("batches", metavar="BATCHES", type=click.IntRange(min=1))
@click.option("--backend", type=click.Choice(["lmdb", "leveldb", "hdf5"]), default="lmdb", show_default=True)
@click.option("--skip-bad-records", is_flag=True, help="Replace records that cannot be read, and count them.")
@net_options
@verbosity_options
def extract_features(
    weights: str,
    net: str,
    blobs: str,
    outputs: str,
    batches: int,
    backend: str,
    skip_bad_records: bool,
    device: str,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
) -> None:
    """Run NET with WEIGHTS on BATCHES batches, in the phase TEST, and store each BLOB in its OUTPUT.

    In LMDB and LevelDB, each image's features are a Datum of floats, under its number. In HDF5, a dataset has the blob's
    name and all of its axes. An OUTPUT appears when it is complete.
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
    )
    for name in names:
        if name not in built.blobs:
            raise click.UsageError(
                f'Unknown feature blob name "{name}" in the network "{built.name}", which has: {", ".join(built.blobs)}.'
            )
    counts = dict.fromkeys(names, 0)
    with contextlib.ExitStack() as stack:
        put = [stack.enter_context(_output(target, backend)) for target in targets]
        for _ in counted(range(batches), "extracting"):
            built.forward()
            for name, store in zip(names, put, strict=True):
                blob = built.blobs[name]
                store(name, counts[name], blob.cpu_data if backend == "hdf5" else _rows(blob))
                counts[name] += blob.num
    for name, target in zip(names, targets, strict=True):
        click.echo(f"{target}: {counts[name]} rows of {name}")


def _rows(blob: Any) -> Any:
    return blob.cpu_data.reshape(blob.num, blob.channels, blob.height, blob.width)


@contextlib.contextmanager
def _output(path: Path, backend: str):  # type: ignore[no-untyped-def]
    """A function `(blob's name, number of the first row, rows)` that stores rows."""
    from bicerin_data.datum import array_datum
    from bicerin_data.hdf5_writer import Hdf5Writer
    from bicerin_data.stores import create_store

    put: Callable[[str, int, Any], None]
    if backend == "hdf5":
        file = Hdf5Writer(path)
        try:
            yield lambda name, first, rows: file.append({name: rows})
        except BaseException:
            file.discard()
            raise
        file.finish()
    else:
        with create_store(path, backend) as writer:

            def put(name: str, first: int, rows: Any) -> None:
                for number, row in enumerate(rows, first):
                    writer.put(f"{number:010d}".encode(), array_datum(row).SerializeToString())

            yield put
