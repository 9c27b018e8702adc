"""Run a net and store blobs of it in LMDB, LevelDB, HDF5 or Parquet.

Source: Caffe's tool `extract_features`; keys and values are the same.
"""

from __future__ import annotations

from pathlib import Path

import click

from bicerin.cli.connected import connected, net_is_built, parallel_option
from bicerin.cli.options import device_option, net_options, runtime_option, verbosity_options


@click.command("extract-features")
@click.argument("weights", metavar="WEIGHTS")
@click.argument("net", metavar="NET")
@click.argument("blobs", metavar="BLOB[,BLOB...]")
@click.argument("outputs", metavar="OUTPUT[,OUTPUT...]")
@click.argument("batches", metavar="[BATCHES]", type=click.IntRange(min=1), required=False)
@click.option(
    "--backend",
    type=click.Choice(["lmdb", "leveldb", "hdf5", "parquet"]),
    help="The kind of each OUTPUT; by default HDF5 for one that ends in .h5, Parquet for .parquet, LMDB for others.",
)
@click.option(
    "--keep-keys/--number-rows",
    default=None,
    help="Store features under the keys of their records, or numbers; by default numbers with BATCHES.",
)
@click.option("--skip-bad-records", is_flag=True, help="Replace records that cannot be read, and count them.")
@device_option("cpu")
@runtime_option
@net_options
@parallel_option
@verbosity_options
def extract_features(
    weights: str,
    net: str,
    blobs: str,
    outputs: str,
    batches: int | None,
    backend: str | None,
    keep_keys: bool | None,
    skip_bad_records: bool,
    device: str,
    runtime: str | None,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
    parallel: str | None,
) -> None:
    """Run NET with WEIGHTS on BATCHES batches, in the phase TEST, and store each BLOB in its OUTPUT.

    Without BATCHES, all records are read once, and each record's features are stored under its key: those of an image
    of ImageData under the key that convert-imageset gives it, its number and path. With BATCHES, rows are numbered, as
    by Caffe's tool. In LMDB and LevelDB, features are a Datum of floats; in HDF5, a dataset has the blob's name and all
    of its axes, and one, "keys", the keys. An OUTPUT appears when it is complete.

    With --parallel, each rank takes ranges of the records. What was interrupted goes on when the command is given
    again.
    """
    from bicerin.errors import DataError
    from bicerin.net import Net
    from bicerin_data.extraction import Extraction
    from bicerin_data.feature_store import backend_of

    if keep_keys is None:
        keep_keys = batches is None
    names, targets = blobs.split(","), [Path(output) for output in outputs.split(",")]
    if len(names) != len(targets):
        raise click.UsageError(f"the number of blobs and of outputs must be equal: {len(names)} and {len(targets)}.")
    if skip_bad_records and (keep_keys or parallel or batches is None):
        raise click.UsageError(
            "--skip-bad-records moves the records after a bad one: it goes with BATCHES, and without --keep-keys and "
            "--parallel."
        )
    with connected(parallel) as communicator:
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
        net_is_built(communicator)
        extraction = Extraction(
            built, names, targets, [backend or backend_of(target) for target in targets], batches, keep_keys
        )
        if communicator is None:
            counts = extraction.alone()
        else:
            import hashlib

            from bicerin.parallel.team import Team

            given = {"the device": device, "the runtime": str(runtime)}
            given |= {"the level": str(level), "the stages": ", ".join(stages)}
            for what, path in [("the net", net), *(("the weights", one) for one in weights.split(","))]:
                try:
                    with open(path, "rb") as file:
                        given[f"{what} {path}"] = hashlib.file_digest(file, "sha256").hexdigest()
                except OSError as error:
                    raise DataError(f"{path} cannot be read: {error.strerror}.") from None
            with Team(communicator) as team:
                counts = extraction.divided(team, given)
            if communicator.rank:
                return
        for name, target, count in zip(names, targets, counts, strict=True):
            click.echo(f"{target}: {count} rows of {name}")
