"""Compute the mean image of an LMDB or LevelDB.

Source: Caffe's tool `compute_image_mean`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    import numpy as np

    import bicerin_proto
    from bicerin_data.stores import backend_of, open_store

    opened = open_store(store, backend or backend_of(store))
    total, count, skipped = _sum(opened, skip_bad_records)
    mean = (total.astype(np.float32) / np.float32(count))[None]
    if output is not None:
        bicerin_proto.write_binary(bicerin_proto.array_blob(mean), output)
    click.echo(f"Number of images: {count}" + (f", {skipped} skipped" if skipped else ""))
    click.echo(f"Number of channels: {len(total)}")
    for channel, value in enumerate((total / count).mean(axis=(1, 2))):
        click.echo(f"mean_value channel [{channel}]: {value:g}")


def _sum(store: Any, skip_bad_records: bool) -> tuple[Any, int, int]:
    """The sum of the images, float64 (C, H, W), their number, and that of the records left out."""
    import logging

    import numpy as np

    from bicerin.errors import DataError
    from bicerin_data.datum import datum_array, parse_datum

    log = logging.getLogger("bicerin.data")
    total, count, skipped = np.zeros(0), 0, 0
    for key, value in store.records():
        try:
            image = datum_array(parse_datum(value))
            if count and image.shape != total.shape:
                raise DataError(f"Incorrect data field size: it is {image.shape}, the first {total.shape}.")
        except DataError as error:
            named = DataError(f"{store.record_name(key)}: {error.reason}", error.hint)
            if not skip_bad_records:
                raise named from None
            log.warning("skipped: %s", named)
            skipped += 1
            continue
        if not count:
            total = np.zeros(image.shape)
        total += image
        count += 1
        if count % 10000 == 0:
            log.info("Processed %d files.", count)
    if not count:
        raise DataError(f"source {store.path}: it holds no {'good ' if skipped else ''}records.")
    return total, count, skipped
