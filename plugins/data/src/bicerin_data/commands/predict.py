"""Name what images show: the classes to which a trained net gives the highest scores.

Images are prepared as the data layer of the net says in its `transform_param`, unless options say something else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bicerin.cli.options import FILE, device_option, json_option, net_options, verbosity_options

_log = logging.getLogger("bicerin.data")


class Mean(click.ParamType):
    """Numbers with commas between them, or a file's name."""

    name = "mean"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return [float(number) for number in value.split(",")]
        except ValueError:
            return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        return FILE.shell_complete(ctx, param, incomplete)


class Size(click.ParamType):
    """A number, or two with an x between them."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            sides = [int(side) for side in value.split("x")]
        except ValueError:
            sides = []
        if len(sides) not in (1, 2):
            self.fail(f'"{value}" is not a size: give the shorter side, such as 256, or height and width: 256x320.')
        return sides[0] if len(sides) == 1 else tuple(sides)


@click.command()
@click.argument("net", type=FILE)
@click.argument("images", metavar="IMAGE...", type=FILE, nargs=-1, required=True)
@click.option("--weights", "-w", multiple=True, metavar="FILE", type=FILE, required=True, help="Weights; repeatable.")
@click.option("--labels", metavar="FILE", type=FILE, help="The names of the classes, one a line.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many classes an image.")
@click.option("--output", metavar="BLOB", help="The blob with the scores; by default, the net's only output.")
@click.option(
    "--transform-of",
    metavar="NET",
    type=FILE,
    help="Prepare images as the data layer of this net does, where NET has none.",
)
@click.option("--mean", metavar="NUMBERS|FILE", type=Mean(), help="Subtract: 104,117,123 or a .binaryproto.")
@click.option("--scale", type=float, help="Multiply with this after that, such as 0.00390625 for 0 to 1.")
@click.option("--resize", metavar="SIZE", type=Size(), help="Resize to this, such as 256 or 256x256, before the crop.")
@click.option("--channel-order", type=click.Choice(["BGR", "RGB"]), help="Of what the net reads; by default BGR.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Images in one pass.")
@device_option("cpu")
@net_options
@json_option
@verbosity_options
def predict(
    net: str,
    images: tuple[str, ...],
    weights: tuple[str, ...],
    labels: str | None,
    top: int,
    output: str | None,
    transform_of: str | None,
    mean: Any,
    scale: float | None,
    resize: Any,
    channel_order: str | None,
    batch_size: int,
    device: str,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
    as_json: bool,
) -> None:
    """Print the classes to which NET gives the highest scores, for each IMAGE.

    NET is a net to use, with an Input layer, or one to train: then its data layer is left out, and Softmax takes the
    place of SoftmaxWithLoss. Images are resized to what the net reads, or with --resize to something larger, of which
    the middle counts. Their values are 0 to 255, of colour images blue first.
    """
    from bicerin.cli.json_text import json_text
    from bicerin.cli.progress import counted
    from bicerin.net import Net
    from bicerin.schema.installed_schema import read_net
    from bicerin_data.classifier import Classifier
    from bicerin_data.deploy_net import deploy_net

    built = Net(
        deploy_net(read_net(Path(net), layer_providers), level=level, stages=stages),
        "TEST",
        weights,
        device,
        level=level,
        stages=stages,
        layer_providers=layer_providers,
    )
    preprocessor = _preprocessor(
        built, transform_of, layer_providers, mean=mean, scale=scale, resize=resize, channel_order=channel_order
    )
    classifier = Classifier(built, labels=labels, preprocessor=preprocessor, output=output)
    _log.info("%r", preprocessor)
    batches = [images[first : first + batch_size] for first in range(0, len(images), batch_size)]
    found = [row for batch in counted(batches, "predicting") for row in classifier.predict(batch, top, batch_size)]
    if as_json:
        rows = [
            {"image": image, "predictions": [one._asdict() for one in row]}
            for image, row in zip(images, found, strict=True)
        ]
        click.echo(json_text(rows, indent=2))
    else:
        _print(images, found)


def _preprocessor(net: Any, transform_of: str | None, layer_providers: dict[str, str], **given: Any) -> Any:
    """As the net or the one in `transform_of` says, and otherwise as the options do."""
    from bicerin.errors import NetError
    from bicerin.schema.installed_schema import read_net
    from bicerin_data.preprocessor import Preprocessor, image_input, transform_param

    options = {name: value for name, value in given.items() if value is not None}
    if transform_of is not None:
        document = read_net(Path(transform_of), layer_providers)
        param = transform_param(document)
        if param is None:
            raise NetError(f"{document.name}: none of its layers that read data has a transform_param.")
        directory = document.path.parent if document.path is not None else None
        return Preprocessor.from_transform_param(param, net.blobs[image_input(net)].shape[1:], directory, **options)
    node = next(node for node in net.nodes if image_input(net) in node.top_names)
    if not node.param.HasField("transform_param") and not {"mean", "scale"} & options.keys():
        _log.warning(
            "nothing says how images are prepared for the net: they go in as they are, 0 to 255. "
            "If it was trained otherwise, give --transform-of TRAIN_NET, or --mean and --scale."
        )
    return Preprocessor.of_net(net, **options)


def _print(images: Sequence[str], found: Sequence[Any]) -> None:
    from bicerin.cli.table import console, new_table

    table = new_table("Image", "Score", "Class", right=("Score",))
    for image, predictions in zip(images, found, strict=True):
        for number, one in enumerate(predictions):
            table.add_row(image if number == 0 else "", f"{one.score:.4f}", one.label)
    console().print(table)
