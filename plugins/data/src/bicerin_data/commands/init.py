"""Make a project to train in of a folder that has a folder of images for each class.

The project is a folder with the images in LMDBs, their mean, the net and the solver, which `bicerin train` trains.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bicerin.cli.options import FILE, json_option, verbosity_options
from bicerin_data.commands.predict import Mean, Size


@click.command("init")
@click.argument("folder", type=Path)
@click.argument("project", type=Path)
@click.option("--net", type=FILE, metavar="NET", help="Fine-tune this net; by default, begin with a small new one.")
@click.option("--weights", "-w", type=FILE, metavar="FILE", help="The weights of NET.")
@click.option("--output", metavar="BLOB", help="The blob with the scores of NET; by default, its only output.")
@click.option("--mean", type=Mean(), metavar="NUMBERS", help="What NET subtracts, such as 104,117,123.")
@click.option("--scale", type=float, help="What NET multiplies with after that.")
@click.option(
    "--size", type=Size(), metavar="SIZE", help="Of the images a new net reads; by default 28 to 64, as theirs."
)
@click.option("--color/--gray", default=None, help="What a new net reads; by default, as the images are.")
@click.option(
    "--part",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="The part of each class to validate with.",
)
@click.option("--mirror", is_flag=True, help="Mirror half of the images in training, where left and right are alike.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Of all randomness.")
@click.option("--skip-bad-records", is_flag=True, help="Leave out images that cannot be read, and count them.")
@json_option
@verbosity_options
def init(
    folder: Path,
    project: Path,
    net: str | None,
    weights: str | None,
    output: str | None,
    mean: Any,
    scale: float | None,
    size: Any,
    color: bool | None,
    part: float,
    mirror: bool,
    seed: int,
    skip_bad_records: bool,
    as_json: bool,
) -> None:
    """Make PROJECT, a folder to train in, of the images in the folders of FOLDER, which are their classes.

    With --net, a trained net is fine-tuned: all of its layers but the last begin with its weights. The last one is
    made anew for the classes, under another name, and learns ten times as fast. NET may be a net to train or to use;
    where it says how images are prepared, --mean and --scale need not.
    """
    from bicerin.cli.json_text import json_text
    from bicerin.cli.progress import counted
    from bicerin.schema.installed_schema import read_net
    from bicerin_data.image_folder import read_image_folder
    from bicerin_data.project import Project
    from bicerin_data.starter_net import starter_shape
    from bicerin_data.trained_net import trained_net

    if (net is None) != (weights is None):
        raise click.UsageError("--net and --weights are given together or not at all.")
    if isinstance(mean, str):
        raise click.UsageError("--mean takes numbers, one or one for each channel.")
    images = read_image_folder(folder)
    trained = None
    if net is not None and weights is not None:
        if size is not None or color is not None:
            raise click.UsageError("--size, --color and --gray are for a new net: NET says what it reads.")
        trained = trained_net(read_net(Path(net)), Path(weights), images, output=output, mean=mean, scale=scale)
        shape = trained.shape
    else:
        if output is not None or mean is not None or scale is not None:
            raise click.UsageError("--output, --mean and --scale belong to --net.")
        channels, height, width = starter_shape(images)
        if size is not None:
            height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 8:
            raise click.UsageError(f"--size: {height} x {width} is too small; the new net needs 8 x 8.")
        shape = (channels if color is None else 3 if color else 1), height, width
    made = Project(images, shape, trained, part, mirror, seed, skip_bad_records)
    made.write(project, lambda lines, what: counted(lines, what))
    if as_json:
        found = {
            "project": str(project),
            "labels": images.labels,
            "shape": shape,
            "training": made.counts[0],
            "validation": made.counts[1],
            "skipped": made.skipped,
            "replaced": trained.tuned.replaced if trained else None,
        }
        click.echo(json_text(found, indent=2))
        return
    skipped = f", {made.skipped} skipped" if made.skipped else ""
    kind = "gray" if shape[0] == 1 else "colour"
    click.echo(
        f"{project}: {len(images.labels)} classes, {made.counts[0]} images to train on, {made.counts[1]} to validate "
        f"with{skipped}; {shape[1]} x {shape[2]}, {kind}"
    )
    if trained is not None:
        click.echo(f'layer "{trained.tuned.replaced}" begins anew as "{trained.tuned.layer}"')
    click.echo(f"train it: bicerin train {project / 'solver.prototxt'}")
