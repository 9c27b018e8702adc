"""`bicerin plugins list`: the layer types that are installed, who brings them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from bicerin.cli.json_text import json_text
from bicerin.cli.messages import is_verbose
from bicerin.cli.options import json_option
from bicerin.discovery import registry
from bicerin.discovery.configuration import layer_providers
from bicerin.discovery.registry import LAYER_API, Provider, disabled_distributions
from bicerin.errors import BicerinError, PluginError
from bicerin.layer.layer import Layer, layers, runs_on_device
from bicerin.schema.installed_schema import schemas

_CORE = "bicerin"
_NONE = (
    "No layer plugin is installed; these layers come with the core.\n"
    'pip install "bicerin[standard]" brings all layers of Caffe 1.0, pip install bicerin-convolution those of a family.'
)


@click.command("list")
@json_option
@click.option("--verbose", is_flag=True, help="Import the layers, and show blob counts and what each device runs.")
def list_plugins(as_json: bool, verbose: bool) -> None:
    """List the layer types that are installed.

    Without --verbose no plugin is imported: what is shown stands in the metadata of the installed distributions.
    """
    verbose = verbose or is_verbose()
    found = describe(verbose)
    if as_json:
        click.echo(json_text(found, indent=2))
    else:
        _print(found, verbose)


def describe(verbose: bool) -> dict[str, Any]:
    """What `--json` prints. With `verbose`, the layers are imported.

    Keys: `layer_api`; `layers`, with `type`, `distribution`, `version`, `entry_point`, `layer_api`, `failure` (or null)
    and, if imported, `bottom`, `top`, `equal`, `auto_top`, `devices`, `operations`, `runs`; `fields` that plugins add
    to Caffe's schema, each with its declared `number` and the one that it has `inside`; `schemas`, where each is, with
    `failure` (or null); `others`, the other entry points; `conflicts`; `disabled` distributions.
    """
    rows = [_layer(provider, verbose) for found in layers.providers().values() for provider in found]
    fields, field_conflicts = _schema()
    return {
        "layer_api": LAYER_API,
        "layers": rows,
        "fields": fields,
        "schemas": [_schema_of(provider) for found in schemas.providers().values() for provider in found],
        "others": [_other(provider) for provider in _others()],
        "conflicts": [*_layer_conflicts(), *field_conflicts],
        "disabled": sorted(disabled_distributions()),
    }


def _layer(provider: Provider, verbose: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": provider.name,
        "distribution": provider.distribution,
        "version": provider.version,
        "entry_point": provider.value,
        "layer_api": provider.layer_api,
        "failure": None,
    }
    try:
        # Loading a plugin of another layer API imports nothing, it only says so.
        if verbose or provider.layer_api != LAYER_API:
            row |= _declared(provider)
    except PluginError as error:
        row["failure"] = str(error)
    return row


def _declared(provider: Provider) -> dict[str, Any]:
    cls = layers.loaded(provider)
    return {
        "bottom": str(cls.counts.bottom),
        "top": str(cls.counts.top),
        "equal": cls.counts.equal,
        "auto_top": cls.counts.auto_top,
        "devices": ["cpu", "gpu"] if runs_on_device(cls) else ["cpu"],
        "operations": {name: {"cpu": one.on_host, "gpu": one.on_device} for name, one in cls.operations.all.items()},
        "runs": dict(zip(("cpu", "gpu"), implementations(cls), strict=True)),
    }


_FORMS = {"compiled": "compiled", "cuda": "CUDA C", "array": "array", "host": "on the CPU"}


def implementations(cls: type[Layer]) -> tuple[str, str]:
    """What a layer runs on the CPU and on a GPU, operation by operation; the rest of it is array code.

    Such as ("compiled: forward, backward; array: sums", "CUDA C: forward, backward, sums").
    """
    operations = cls.operations.all.values()
    own = "own code" if hasattr(cls, "forward_cpu") or hasattr(cls, "forward_gpu") else ""
    cpu = _forms([(one.on_host, one.name) for one in operations])
    gpu = _forms([(one.on_device, one.name) for one in operations])
    cpu, gpu = ("; ".join(filter(None, (own, forms))) or "array" for forms in (cpu, gpu))
    if cls.runs_on == "host":
        return cpu, "always on the CPU"
    return cpu, gpu if runs_on_device(cls) else "runs on the CPU"


def _forms(operations: Sequence[tuple[str, str]]) -> str:
    told = []
    for form, words in _FORMS.items():
        names = [name for found, name in operations if found == form]
        if names:
            told.append(f"{words}: {', '.join(names)}")
    return "; ".join(told)


def _schema_of(provider: Provider) -> dict[str, Any]:
    from bicerin.schema.installed_schema import read_fragment
    from bicerin_proto import Schema

    failure = None
    try:
        Schema.check(read_fragment(provider))
    except BicerinError as error:
        failure = str(error)
    return {**_other(provider), "failure": failure}


def _schema() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The fields that plugins add, and those that they disagree about."""
    from bicerin.schema.installed_schema import schema

    merged = schema()
    fields = [
        {
            "message": field.message,
            "field": field.name,
            "number": field.numbers[0],
            "inside": field.number,
            "distributions": list(field.distributions),
        }
        for field in merged.added.values()
    ]
    conflicts = [
        {
            "kind": "field",
            "name": f"{conflict.message}.{conflict.name}",
            "distributions": [distribution for distribution, _ in conflict.meanings],
            "chosen": conflict.winner,
        }
        for conflict in merged.conflicts
    ]
    return fields, conflicts


def _layer_conflicts() -> Iterator[dict[str, Any]]:
    chosen = layer_providers()
    for name, found in layers.providers().items():
        if len(found) > 1:
            distributions = [provider.distribution for provider in found]
            yield {"kind": layers.kind, "name": name, "distributions": distributions, "chosen": chosen.get(name)}


def _others() -> Iterator[Provider]:
    for group, names in sorted(registry.plugin_index().items()):
        if group not in (layers.group, schemas.group):
            yield from (provider for _, found in sorted(names.items()) for provider in found)


def _other(provider: Provider) -> dict[str, str]:
    return {
        "group": provider.group,
        "name": provider.name,
        "distribution": provider.distribution,
        "version": provider.version,
        "entry_point": provider.value,
    }


def _print(found: Mapping[str, Any], verbose: bool) -> None:
    from bicerin.cli.table import console, new_table

    output = console()
    columns = ("Bottoms", "Tops", "CPU", "GPU") if verbose else ()
    table = new_table("Layer", "Distribution", "Version", *columns)
    for row in found["layers"]:
        cells = (row["type"], row["distribution"], row["version"])
        table.add_row(*cells, *(_declared_cells(row) if verbose else ()))
    output.print(table)
    if verbose:
        _print_more(found, output)
    else:
        output.print(
            "\n--verbose imports the layers, and shows blob counts, what runs on each device, fields, failures."
        )
    if all(row["distribution"] == _CORE for row in found["layers"]):
        output.print(f"\n{_NONE}")
    for row in (*found["layers"], *found["schemas"]):
        if row["failure"]:
            output.print(f"\nfailure: {row['failure']}")
    for conflict in found["conflicts"]:
        chosen = conflict["chosen"]
        verdict = (
            f"{chosen} is chosen, and nothing needs to be done"
            if chosen
            else "using it is an error until one is chosen"
        )
        brought = " and ".join(conflict["distributions"])
        output.print(f'\nconflict: {conflict["kind"]} "{conflict["name"]}" is brought by {brought}: {verdict}')
    if found["disabled"]:
        output.print(f"\nBICERIN_DISABLE_PLUGINS hides: {', '.join(found['disabled'])}")


def _declared_cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    if row["failure"]:
        return ("", "", "failure, see below", "")
    tops = row["top"] + (" (as bottoms)" if row["equal"] else "") + (" (automatic)" if row["auto_top"] else "")
    return (row["bottom"], tops, row["runs"]["cpu"], row["runs"]["gpu"])


def _print_more(found: Mapping[str, Any], output: Any) -> None:
    from bicerin.cli.table import new_table

    if found["fields"]:
        table = new_table("Field", "Number", "Distribution", right=("Number",))
        for field in found["fields"]:
            table.add_row(
                f"{field['message']}.{field['field']}", str(field["number"]), ", ".join(field["distributions"])
            )
        output.print()
        output.print(table)
    table = new_table("Also", "Name", "Distribution", "Version")
    for other in found["others"]:
        table.add_row(other["group"].removeprefix("bicerin."), other["name"], other["distribution"], other["version"])
    output.print()
    output.print(table)
