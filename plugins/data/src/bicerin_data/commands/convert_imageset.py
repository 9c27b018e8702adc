"""Make an LMDB or LevelDB of the images that a text file lists.

Source: Caffe's tool `convert_imageset`; keys and values are the same.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from bicerin.cli.options import verbosity_options

_log = logging.getLogger("bicerin.data")


@click.command("convert-imageset")
@click.argument("root_folder", metavar="ROOTFOLDER")
@click.argument("list_file", metavar="LISTFILE", type=Path)
@click.argument("store", metavar="DB", type=Path)
@click.option("--gray", is_flag=True, help="Read the images as grayscale.")
@click.option("--shuffle", is_flag=True, help="Store them in random order.")
@click.option("--seed", type=int, help="The seed of that order; by default, a different one each time.")
@click.option("--backend", type=click.Choice(["lmdb", "leveldb"]), default="lmdb", show_default=True)
@click.option("--resize-width", type=click.IntRange(min=0), default=0, help="Resize to this width.")
@click.option("--resize-height", type=click.IntRange(min=0), default=0, help="Resize to this height.")
@click.option("--check-size", is_flag=True, help="Refuse images whose size differs from the first one's.")
@click.option("--encoded", is_flag=True, help="Store image files instead of pixels.")
@click.option(
    "--encode-type",
    default="",
    metavar="TYPE",
    help="Their format: png, jpg, ...; by default, each file's own.",
)
@click.option("--skip-bad-records", is_flag=True, help="Leave out images that cannot be read, and count them.")
@verbosity_options
def convert_imageset(
    root_folder: str,
    list_file: Path,
    store: Path,
    gray: bool,
    shuffle: bool,
    seed: int | None,
    backend: str,
    resize_width: int,
    resize_height: int,
    check_size: bool,
    encoded: bool,
    encode_type: str,
    skip_bad_records: bool,
) -> None:
    """Make the store DB of the images in LISTFILE, which has a line "path label" for each.

    ROOTFOLDER is put before each path. DB must not exist; it appears when it is complete.
    """
    import numpy as np

    from bicerin.cli.progress import counted
    from bicerin.errors import DataError
    from bicerin_data.image_list import read_image_list
    from bicerin_data.image_record import SKIP_HINT, ImageRecord, image_records
    from bicerin_data.stores import create_store

    if (resize_width == 0) != (resize_height == 0):
        raise click.UsageError("--resize-width and --resize-height are given together or not at all.")
    lines = read_image_list(list_file)
    if shuffle:
        np.random.default_rng(seed).shuffle(lines)
    _log.info("A total of %d images.", len(lines))
    if os.path.isdir(root_folder) and not root_folder.endswith(os.sep):
        root_folder += os.sep
    record = ImageRecord(root_folder, not gray, resize_height, resize_width, encoded or bool(encode_type), encode_type)
    skipped = size = 0
    with create_store(store, backend) as writer:
        results = image_records(record, lines)
        for index, (name, _) in enumerate(counted(lines, "converting")):
            datum = next(results)
            if isinstance(datum, DataError):
                if not skip_bad_records:
                    raise DataError(datum.reason, datum.hint or SKIP_HINT) from datum
                _log.warning("skipped: %s", datum)
                skipped += 1
                continue
            size = size or len(datum.data)
            if check_size and len(datum.data) != size:
                raise DataError(f"{name}: Incorrect data field size {len(datum.data)}; the first image's is {size}.")
            writer.put(f"{index:08d}_{name}".encode(), datum.SerializeToString())
            if (index + 1 - skipped) % 1000 == 0:
                _log.info("Processed %d files.", index + 1 - skipped)
        if skipped == len(lines):
            raise DataError(f"{list_file}: none of its {skipped} images can be read.")
    click.echo(f"{store}: {len(lines) - skipped} images" + (f", {skipped} skipped" if skipped else ""))
