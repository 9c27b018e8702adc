"""`bicerin check`: what a net or solver would be, found without running it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from bicerin.cli.json_text import json_text
from bicerin.cli.net_or_solver import from_folders_above, net_sources, other_document, read_net_or_solver
from bicerin.cli.options import FILE, json_option, net_options, phase_option, verbosity_options
from bicerin.errors import BicerinError, ParseError, SolverError
from bicerin.net.outline import LayerOutline, NetOutline, Shape, outline

_log = logging.getLogger("bicerin.cli")


@dataclass
class Report:
    """What is known of a file.

    Attributes:
        kind: "net", "solver", the name of a message such as "LabelMap" that plugins keep in files of its own, or "" for
            a file that is none of these.
        upgraded: what was brought up to date.
        nets: in each phase that is different; for a solver, those that it trains and tests.
        errors: with file and line.
        weights: for each file of weights, what would become of them.
    """

    file: str
    kind: str = ""
    upgraded: tuple[str, ...] = ()
    nets: list[NetOutline] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Whether every shape is."""
        return not self.errors and all(net.is_known for net in self.nets)


def shapes_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--input`: shapes that no file gives, as `given`, a dict."""
    return click.option(
        "--input",
        "given",
        multiple=True,
        metavar="BLOB=N,C,H,W",
        callback=lambda ctx, param, values: _shapes(values),
        help="The shape of a blob, where no file gives it: of a data layer's top or of an input; repeatable. An axis "
        "of ? is what the layer knows, such as its batch size.",
    )(command)


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@phase_option(None)
@click.option("--weights", "-w", multiple=True, metavar="FILE", type=FILE, help="Weights to compare; repeatable.")
@shapes_option
@click.option("--no-python", is_flag=True, help="Run no code that a file names: shapes of Python layers are unknown.")
@click.option("--summary", is_flag=True, help="One line per file instead of tables.")
@net_options
@json_option
@verbosity_options
def check(
    files: tuple[str, ...],
    phase: str | None,
    weights: tuple[str, ...],
    given: dict[str, Shape],
    no_python: bool,
    summary: bool,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
    as_json: bool,
) -> None:
    """Check nets and solvers without running them.

    Each FILE is read and brought up to date, its layers are found and their shapes inferred, for each phase. No data is
    needed: where a source is missing, shapes are taken from --input, or assumed from the layer's parameters, or
    reported as unknown, and the rest goes on. A Python layer's module is run, to ask it for its shapes: give
    --no-python for the files of strangers. The exit status is 1 where something is wrong.

    Memory is that of the blobs between the layers, in float32; training needs as much again for their gradients.
    """
    options: dict[str, Any] = {"level": level, "stages": stages or None, "given": given}
    options["without"] = ("Python",) if no_python else ()
    reports = []
    for file in files:
        report = examine(file, phase, weights, layer_providers=layer_providers, **options)
        reports.append(report)
        if not as_json:
            _print(report, summary)
    if as_json:
        click.echo(json_text([_plain(report) for report in reports], indent=2))
    elif len(files) > 1:
        _print_totals(reports)
    if any(report.errors for report in reports):
        click.get_current_context().exit(1)


def examine(
    file: str,
    phase: str | None = None,
    weights: Sequence[str] = (),
    *,
    layer_providers: Mapping[str, str] | None = None,
    **options: Any,
) -> Report:
    """The report on one file; `options` go to `outline`."""
    report = Report(file)
    try:
        document, is_solver = read_net_or_solver(file, layer_providers)
    except BicerinError as error:
        report.kind = (other_document(file, layer_providers) if isinstance(error, ParseError) else None) or ""
        if not report.kind:
            report.errors.append(str(error))
        return report
    report.kind, report.upgraded = "solver" if is_solver else "net", document.upgrades
    options["layer_providers"] = layer_providers
    try:
        if is_solver:
            _check_solver(report, document, layer_providers, options)
        elif phase is not None:
            report.nets.append(outline(document, phase, **options))
        else:
            report.nets += nets_in_their_phases(document, options)
        report.errors += dict.fromkeys(error for net in report.nets for error in net.errors)
        for path in weights if report.nets else ():
            loaded, mismatches = report.nets[0].compare_weights(path)
            report.weights.append(str(loaded).replace("copied", "fit"))
            report.errors += mismatches
    except BicerinError as error:
        report.errors.append(str(error))
    return report


def nets_in_their_phases(document: Any, options: Mapping[str, Any]) -> list[NetOutline]:
    """The net in the phases TRAIN and TEST, of which it may be meant for one, or once where its layers are the same."""
    if document.message.state.HasField("phase"):
        return [outline(document, **options)]
    nets = [outline(document, phase, **options) for phase in ("TRAIN", "TEST")]
    meant = [net for net in nets if not net.cut_off]
    if len(meant) == 1:
        return meant
    rows = [[(row.name, row.type, row.top_shapes, row.error) for row in net.layers] for net in nets]
    return nets if rows[0] != rows[1] else nets[1:]


def _check_solver(
    report: Report, document: Any, layer_providers: Mapping[str, str] | None, options: Mapping[str, Any]
) -> None:
    from bicerin.solver.solver import solvers

    def note(error: BicerinError) -> None:
        report.errors.append(f"{document.name}: {error}")

    try:
        solvers.load(document.message.type).check(document.message)
    except BicerinError as error:
        note(error)
    sources = net_sources(document, layer_providers, from_folders_above)
    for read in (lambda: [sources.train_net()], sources.test_nets):
        try:
            report.nets += [outline(net, **options) for net in read()]
        except SolverError as error:
            note(error)
        except BicerinError as error:
            # Of the file that the solver names, which may be the same for both.
            if str(error) not in report.errors:
                report.errors.append(str(error))


def _shapes(values: Sequence[str]) -> dict[str, Shape]:
    given = {}
    for value in values:
        name, equals, axes = value.rpartition("=")
        if not (name and equals and re.fullmatch(r"(\d+|\?)(,(\d+|\?))*", axes)):
            raise click.BadParameter(f'"{value}" is not of the form BLOB=N,C,H,W, as in data=1,3,224,224.')
        given[name] = tuple(-1 if axis == "?" else int(axis) for axis in axes.split(","))
    return given


def _plain(report: Report) -> dict[str, Any]:
    return {
        "file": report.file,
        "kind": report.kind or None,
        "upgraded": list(report.upgraded),
        "errors": report.errors,
        "weights": report.weights,
        "nets": [
            {
                "name": net.name,
                "phase": net.phase,
                "parameters": net.total("parameter_count"),
                "multiply_adds": net.total("multiply_adds"),
                "memory": net.total("memory"),
                "complete": net.is_known and not net.errors,
                "warnings": net.warnings,
                "layers": [asdict(row) for row in net.layers],
            }
            for net in report.nets
        ],
    }


def _print(report: Report, summary: bool) -> None:
    from bicerin.cli.table import console

    output = console()
    if summary:
        output.print(f"{report.file}: {_verdict(report)}")
    else:
        for net in report.nets:
            output.print(_table(report, net))
            output.print(_totals(net))
            for row in net.layers:
                if row.note and not row.bottom:
                    output.print(f'{row.location}: layer "{row.name}": {row.note}')
            output.print()
        for line in report.weights:
            output.print(line)
        if not report.nets and not report.errors:
            output.print(f"{report.file}: {_verdict(report)}")
    for warning in dict.fromkeys(warning for net in report.nets for warning in net.warnings):
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {warning}", err=True)
    for error in report.errors:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)


def _verdict(report: Report) -> str:
    if report.errors:
        return f"{len(report.errors)} error(s)"
    if not report.is_known:
        left = sum(not row.is_known for net in report.nets for row in net.layers)
        return f"{report.kind}, no errors; the shapes of {left} layer(s) are not known"
    assumed = any(row.assumed for net in report.nets for row in net.layers)
    return f"{report.kind}, no errors" + ("; shapes of data assumed" if assumed else "")


def _print_totals(reports: Sequence[Report]) -> None:
    parsed = sum(bool(report.kind) for report in reports)
    known = sum(report.is_known for report in reports)
    wrong = sum(bool(report.errors) for report in reports)
    click.echo(f"{len(reports)} files: {parsed} parse, {known} are fully known, {wrong} have errors")


def _table(report: Report, net: NetOutline) -> Any:
    from bicerin.cli.table import new_table

    numbers = ("Line", "Parameters", "Multiply-adds", "Memory")
    title = f"{report.file}: {net.name or 'a net'}, {net.phase}"
    table = new_table("Line", "Layer", "Type", "Output", *numbers[1:], right=numbers, title=title)
    for row in net.layers:
        table.add_row(row.location.rpartition(":")[2], row.name, row.type, _output(row), *_numbers(row))
    table.add_section()
    totals = LayerOutline("", "", "", [], [])
    for what in ("parameter_count", "multiply_adds", "memory"):
        setattr(totals, what, net.total(what))
    table.add_row("", f"{len(net.layers)} layers", "", "", *_numbers(totals))
    return table


def _numbers(row: LayerOutline) -> tuple[str, str, str]:
    return (
        f"{row.parameter_count:,}" if row.parameter_count else "",
        f"{row.multiply_adds:,}" if row.multiply_adds else "",
        _bytes(row.memory) if row.memory else "",
    )


def _output(row: LayerOutline) -> str:
    if row.error:
        return "error, see below"
    shapes = ["?" if shape is None else "x".join(map(str, shape)) or "scalar" for shape in row.top_shapes]
    return ", ".join(shapes) + (" (assumed)" if row.assumed else "")


def _totals(net: NetOutline) -> str:
    parameters = net.total("parameter_count")
    missing = sum(not row.is_known or bool(row.error) for row in net.layers)
    rest = f"; {missing} layer(s) are left out" if missing else ""
    return (
        f"{parameters:,} parameters ({_bytes(4 * parameters)}), {_millions(net.total('multiply_adds'))} "
        f"multiply-adds, {_bytes(net.total('memory'))} of blobs{rest}"
    )


def _millions(number: int) -> str:
    return f"{number / 1e6:,.1f} million" if number >= 1e6 else f"{number:,}"


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
