"""Show a net, its training, its weights and what it makes of images in one page of HTML."""

from __future__ import annotations

from typing import Any

import click

from bicerin.cli.check import shapes_option
from bicerin.cli.options import FILE, device_option, net_options, verbosity_options


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="NET|SOLVER|LOG...")
@click.option("--output", "-o", metavar="FILE", type=FILE, help="The page to write: report.html.")
@click.option("--weights", "-w", multiple=True, metavar="FILE", type=FILE, help="Weights, or several snapshots.")
@click.option("--image", "images", multiple=True, metavar="FILE", type=FILE, help="Run the net on this; repeatable.")
@click.option(
    "--inputs", metavar="FILE", type=FILE, help="Run the net on these arrays: an .npz with one for each input."
)
@click.option(
    "--samples", type=click.IntRange(0), default=200, show_default=True, help="How many of its data layer's images."
)
@click.option("--blob", "blobs", multiple=True, metavar="BLOB", help="Show this blob's activations; repeatable.")
@click.option("--scores", metavar="BLOB", help="The scores for the classes.  [default: what the loss reads]")
@click.option("--labels", metavar="FILE", type=FILE, help="The names of the classes, one a line.")
@click.option(
    "--time", "timed", type=click.IntRange(0), default=0, metavar="N", help="Measure each layer over N passes."
)
@shapes_option
@click.option("--no-python", is_flag=True, help="Run no code that a file names: shapes of Python layers are unknown.")
@click.option(
    "--serve",
    is_flag=True,
    help="Serve the page on this machine, and show a training as it goes on: its log and its last snapshot.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port of --serve.  [default: any free one]")
@device_option("cpu")
@net_options
@verbosity_options
def report(files: tuple[str, ...], output: str | None, serve: bool, port: int, no_python: bool, **options: Any) -> None:
    """Show a net, its training, its weights and what it makes of images in one page.

    Give a net's prototxt or a solver's, and any number of logs: what `bicerin train` or Caffe printed, or what
    --log-json or --record wrote. With --weights the page shows the weights, and what the net makes of the images of its
    data layers, of --image, or of --inputs.

    The page is one file. It needs no network, and holds nothing but what is given here.
    """
    from bicerin_report.contents import Contents
    from bicerin_report.page import write_page
    from bicerin_report.serving import PageServer

    if serve == (output is not None):
        raise click.UsageError("Give --output for a file, or --serve for a page that is made anew.")
    contents = Contents(files, run_python=not no_python, follow=serve, **options)
    if output is not None:
        write_page(contents.data(), output)
        click.echo(f"{output}: written")
        return
    with PageServer(contents, port) as server:
        server.text("/")  # what is wrong with the files is said here, and not in the browser
        click.echo(f"{server.url} (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo()
