"""`bicerin plugins show`: what a layer type computes, its parameters, what it takes and where it runs."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from bicerin.cli.json_text import json_text
from bicerin.cli.options import json_option, provider_option


class LayerType(click.ParamType):
    """The name of a layer type; the shell completes it."""

    name = "type"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from bicerin.layer.layer import layers

        return [CompletionItem(name) for name in sorted(layers.providers()) if name.startswith(incomplete)]


@click.command()
@click.argument("layer_types", metavar="TYPE...", nargs=-1, required=True, type=LayerType())
@provider_option
@json_option
def show(layer_types: tuple[str, ...], layer_providers: dict[str, str], as_json: bool) -> None:
    """Show what layers of a TYPE compute: formula, blobs, parameters, devices, and a net that runs.

    A parameter's meaning is the comment in the .proto of whoever brings it.
    """
    from bicerin.cli.layer_description import describe_layer

    found = [describe_layer(name, layer_providers) for name in layer_types]
    if as_json:
        click.echo(json_text([one.as_dict() for one in found], indent=2))
        return
    for one in found:
        _print(one)


def _print(layer: Any) -> None:
    from bicerin.cli.table import console, new_table

    output = console()
    click.echo(f"{layer.type}, of {layer.distribution} {layer.version}\n\n{layer.text}\n\n{layer.blobs}\n")
    tops = layer.top + (" (as many as bottoms)" if layer.equal else "") + (" (automatic)" if layer.auto_top else "")
    table = new_table("", "")
    table.show_header = False
    for name, value in (
        ("bottoms", layer.bottom),
        ("tops", tops),
        *layer.runs.items(),
        ("exported to", ", ".join({"onnx": "ONNX", "torch": "PyTorch"}[name] for name in layer.exports) or "nothing"),
    ):
        table.add_row(name, value)
    output.print(table)
    if layer.parameters:
        table = new_table("Parameter", "Type", "Default", "Meaning")
        for one in layer.parameters:
            added = f"(of {', '.join(one.added_by)})" if one.added_by else ""
            table.add_row(one.name, one.type, one.default, f"{one.comment} {added}".strip())
        output.print()
        output.print(table)
    if layer.example:
        click.echo(f"\nA net with it:\n\n{layer.example}")
