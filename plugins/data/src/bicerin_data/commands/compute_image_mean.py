"""Compute the mean image of an LMDB or LevelDB.

Source: Caffe's tool `compute_image_mean`.
"""

from __future__ import annotations

from pathlib import Path

import click

from bicerin.cli.options import verbosity_options


@click.command("compute-image-mean")
@click.argument("store", metavar="DB", type=Path)
@click.argument("output", metavar="[OUTPUT]", required=False, type=Path)
@click.option("--backend", type=click.Choice(["lmdb", "leveldb"]), help="The kind of DB; by default, detected.")
@click.option("--skip-bad-records", is_flag=True, help="Leave out records that cannot be read, and count them.")
@verbosity_options
def compute_image_mean(store: Path, output: Path | None, backend: str | None, skip_bad_records: bool) -> None:
    """Print the mean of each channel of the images in DB, and write the mean image to OUTPUT (.binaryproto).

    All images must have one size.
    """
    from bicerin_data.mean_image import sum_of_images, write_mean
    from bicerin_data.stores import backend_of, open_store

    opened = open_store(store, backend or backend_of(store))
    total, count, skipped = sum_of_images(opened, skip_bad_records)
    if output is not None:
        write_mean(total, count, output)
    click.echo(f"Number of images: {count}" + (f", {skipped} skipped" if skipped else ""))
    click.echo(f"Number of channels: {len(total)}")
    for channel, value in enumerate((total / count).mean(axis=(1, 2))):
        click.echo(f"mean_value channel [{channel}]: {value:g}")
