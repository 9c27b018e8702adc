"""List the images of a folder that has a folder for each class, for ImageData and convert-imageset."""

from __future__ import annotations

from pathlib import Path

import click

from bicerin.cli.options import FILE, json_option, verbosity_options


@click.command("list-images")
@click.argument("folder", type=Path)
@click.argument("lists", metavar="LIST [VALIDATION_LIST]", nargs=-1, required=True, type=FILE)
@click.option("--labels", metavar="FILE", type=FILE, help="Write the names of the classes here, one a line.")
@click.option(
    "--part",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="The part of each class that VALIDATION_LIST gets.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the order.")
@json_option
@verbosity_options
def list_images(
    folder: Path, lists: tuple[str, ...], labels: str | None, part: float, seed: int, as_json: bool
) -> None:
    """Write the images in the folders of FOLDER to LIST, a line "path label" for each, in random order.

    The folders are the classes: sorted by name, the first is 0. Paths are from FOLDER on, which is ImageData's
    root_folder, with a slash at its end, and convert-imageset's ROOTFOLDER. With VALIDATION_LIST a part of each class
    goes there, and not to LIST.
    """
    from bicerin.cli.json_text import json_text
    from bicerin.cli.table import console, new_table
    from bicerin_data.image_folder import read_image_folder
    from bicerin_data.image_list import write_image_list, write_labels

    if len({*lists, labels}) != len(lists) + 1 or len(lists) > 2:
        raise click.UsageError("give the names of one list or of two, and of no file twice.")
    images = read_image_folder(folder)
    parts = images.split(part if len(lists) == 2 else 0.0, seed)
    for path, lines in zip(lists, parts, strict=False):
        write_image_list(Path(path), lines)
    if labels is not None:
        write_labels(Path(labels), images.labels)
    numbers = list(zip(*(images.counts(lines) for lines in parts), strict=True))
    if as_json:
        rows = [
            {"label": label, "name": name, **dict(zip(lists, found, strict=False))}
            for label, (name, found) in enumerate(zip(images.labels, numbers, strict=True))
        ]
        click.echo(json_text(rows, indent=2))
        return
    table = new_table("Label", "Class", *lists, right=("Label", *lists))
    for label, (name, found) in enumerate(zip(images.labels, numbers, strict=True)):
        table.add_row(str(label), name, *map(str, found[: len(lists)]))
    console().print(table)
