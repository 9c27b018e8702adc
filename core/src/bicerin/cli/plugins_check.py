"""`bicerin plugins check`: whether a plugin keeps what it declares."""

from __future__ import annotations

import importlib.util
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import click

from bicerin.cli.json_text import json_text
from bicerin.cli.messages import is_verbose
from bicerin.cli.options import complete_devices, complete_plugins, json_option
from bicerin.device.device import devices as device_registry
from bicerin.discovery import configuration, registry
from bicerin.discovery.registry import LAYER_API, Provider, Registry, normalized
from bicerin.errors import BicerinError, PluginError, UnknownNameError
from bicerin.layer.layer import layers
from bicerin.schema.installed_schema import schemas

cases_registry = Registry("bicerin.cases", "table of cases")
#: Functions of a case that raise an error if it fails, and return None if it passes, or why they do not apply.
checks_registry = Registry("bicerin.checks", "check of cases")

Outcome = Literal["passed", "failed", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what it is about, such as `layer ROIPooling`.
        check: what was checked.
        case: with which case, for what a layer does.
        outcome: a note is worth knowing, but not a fault.
        detail: why it failed, or what there is to know.
    """

    subject: str
    check: str
    outcome: Outcome
    detail: str = ""
    error: BaseException | None = None
    case: str = ""


@click.command()
@click.argument("name", shell_complete=complete_plugins)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_devices,
    help="Run the layers there; repeatable. By default on the CPU and, where bicerin-emulated is installed, emulated.",
)
@json_option
def check(name: str, devices: tuple[str, ...], as_json: bool) -> None:
    """Check an installed plugin: its schema, its layers, and what they do.

    NAME is a distribution. Its schema must fit into Caffe's, its entry points must import, and its layers must pass the
    conformance suite of bicerin.testing on the cases that it ships (entry-point group bicerin.cases, "module:CASES").
    The exit status is 1 where something fails.
    """
    # The emulated device then looks at every access to memory; results alone would not show all races.
    os.environ.setdefault("BICERIN_EMULATED_CHECK", "access")
    findings = list(examine(name, devices or ("cpu", *(["emulated"] if "emulated" in device_registry else []))))
    if as_json:
        click.echo(json_text({"distribution": name, "findings": [_plain(one) for one in findings]}, indent=2))
    else:
        _print(findings)
    if any(one.outcome == "failed" for one in findings):
        click.get_current_context().exit(1)


def examine(name: str, devices: Sequence[str] = ("cpu",)) -> Iterator[Finding]:
    """Everything that can be said about an installed plugin, one finding after the other.

    Raises:
        UnknownNameError: no distribution of that name is installed, or it brings nothing to Bicerin.
    """
    found = _providers(name)
    api = found[0].layer_api
    fits = api == LAYER_API
    said = f"written for {api}" + ("" if fits else f"; this core has {LAYER_API}")
    yield Finding("plugin", "layer API", "passed" if fits else "failed", said)
    for provider in found:
        if provider.group == schemas.group:
            yield from _schema(provider)
    yield from _field_conflicts(found)
    chosen = {provider.name: provider.distribution for provider in found if provider.group == layers.group}
    with configuration.choosing(chosen):
        loaded: dict[str, Any] = {}
        for provider in found:
            if provider.group == layers.group:
                yield from _layer(provider, loaded)
            elif provider.group not in (schemas.group, cases_registry.group):
                yield _imports(provider)
        yield from _behaviour(found, loaded, devices)


def _providers(name: str) -> list[Provider]:
    """The distribution's entry points; schemas first, since layers need them."""
    wanted = normalized(name)
    everyone = [p for names in registry.plugin_index().values() for found in names.values() for p in found]
    found = [provider for provider in everyone if normalized(provider.distribution) == wanted]
    if not found:
        from bicerin_proto.hints import did_you_mean

        hidden = wanted in registry.disabled_distributions()
        if not hidden and _is_installed(name):
            raise UnknownNameError(f"{name} is installed, but brings no layers or anything else of a plugin's.")
        names = sorted({provider.distribution for provider in everyone})
        hint = f" {did_you_mean(name, names, most=3)}".rstrip()
        if hidden:
            hint += " BICERIN_DISABLE_PLUGINS hides it."
        raise UnknownNameError(f"no plugin {name} is installed.{hint}\n  Installed: {', '.join(names)}.")
    return sorted(found, key=lambda provider: (provider.group != schemas.group, provider.group, provider.name))


def _is_installed(name: str) -> bool:
    from importlib_metadata import PackageNotFoundError, distribution

    try:
        distribution(name)
    except (PackageNotFoundError, ValueError):
        return False
    return True


def _schema(provider: Provider) -> Iterator[Finding]:
    from bicerin.schema.installed_schema import read_fragment
    from bicerin_proto import Schema

    subject = f"schema {provider.value}"
    try:
        fragment = read_fragment(provider)
        Schema.check(fragment)
    except BicerinError as error:
        yield Finding(subject, "fits into Caffe's", "failed", str(error), error)
        return
    yield Finding(subject, "fits into Caffe's", "passed", ", ".join(_added(fragment)))
    yield from _current(provider, subject)


def _added(fragment: Any) -> list[str]:
    from bicerin_proto import Schema

    return [f"{field.message}.{field.name} = {field.numbers[0]}" for field in Schema.merged([fragment]).added.values()]


def _current(provider: Provider, subject: str) -> Iterator[Finding]:
    """Whether the compiled file is what the .proto beside it compiles to, where there is one."""
    from bicerin_proto import check_current

    package, _, file = provider.value.partition(":")
    spec = importlib.util.find_spec(package)
    sources = [Path(folder) / file for folder in (spec.submodule_search_locations or ())] if spec is not None else []
    source = next((path.with_suffix(".proto") for path in sources if path.with_suffix(".proto").is_file()), None)
    if source is None:
        yield Finding(subject, "current", "note", "its .proto is not shipped")
    elif importlib.util.find_spec("grpc_tools") is None:
        yield Finding(subject, "current", "note", 'not looked at: pip install "bicerin-proto[compile]" for that')
    else:
        current = check_current(source)
        advice = "" if current else f"run: bicerin plugins proto {source}"
        yield Finding(subject, "current", "passed" if current else "failed", advice)


def _field_conflicts(found: Iterable[Provider]) -> Iterator[Finding]:
    from bicerin.schema.installed_schema import schema

    own = {provider.distribution for provider in found}
    for conflict in schema().conflicts:
        if own & {distribution for distribution, _ in conflict.meanings}:
            yield Finding(f"field {conflict.name}", "conflicts", "note", conflict.reason)


def _layer(provider: Provider, loaded: dict[str, Any]) -> Iterator[Finding]:
    from bicerin.layer.layer import runs_on_device

    subject = f"layer {provider.name}"
    try:
        cls = loaded[provider.name] = layers.loaded(provider)
    except PluginError as error:
        yield Finding(subject, "imports", "failed", str(error), error)
        return
    counts, devices = cls.counts, "cpu and gpu" if runs_on_device(cls) else "cpu"
    yield Finding(subject, "imports", "passed", f"{counts.bottom} bottom(s), {counts.top} top(s), {devices}")
    others = [one for one in layers.providers()[provider.name] if one.distribution != provider.distribution]
    if others:
        yield Finding(subject, "conflicts", "note", f"also brought by {', '.join(map(str, others))}")


def _imports(provider: Provider) -> Finding:
    subject = f"{provider.group.removeprefix('bicerin.')} {provider.name}"
    try:
        provider.load()
    except PluginError as error:
        return Finding(subject, "imports", "failed", str(error), error)
    return Finding(subject, "imports", "passed")


def _behaviour(found: Iterable[Provider], loaded: dict[str, Any], devices: Sequence[str]) -> Iterator[Finding]:
    """The conformance suite over the shipped cases, and over made-up ones for layers that these leave out."""
    from bicerin.schema.installed_schema import read_layer

    tested = set()
    for provider in found:
        if provider.group != cases_registry.group:
            continue
        try:
            cases = list(provider.load())
            types = [read_layer(case.definition).type for case in cases]
        except (BicerinError, TypeError, AttributeError) as error:
            yield Finding(f"cases {provider.value}", "imports", "failed", str(error), error)
            continue
        for case, layer_type in zip(cases, types, strict=True):
            if layer_type not in loaded:
                reason = f'"{layer_type}" is not a layer of this plugin, or cannot be imported'
                yield Finding(f"cases {provider.value}", "type", "failed", reason, case=case.name)
                continue
            tested.add(layer_type)
            for device in devices:
                yield from _run(case, f"layer {layer_type}", device)
    for layer_type in sorted(loaded):
        if getattr(loaded[layer_type], "cuda", None) is not None and set(devices) <= {"cpu"}:
            advice = "not compiled: --device gpu, or pip install bicerin-emulated"
            yield Finding(f"layer {layer_type}", "CUDA C", "note", advice)
    for layer_type in sorted(set(loaded) - tested):
        yield _made_up(layer_type, loaded[layer_type])


def _run(case: Any, subject: str, device: str) -> Iterator[Finding]:
    from bicerin.testing import CHECKS

    row = case.name if device == "cpu" else f"{case.name} on {device}"
    checks: dict[str, Callable[[], Any]] = {name: partial(run, case, device) for name, run in CHECKS.items()}
    if device == "cpu":
        del checks["device_parity"]  # there is nothing to compare
        checks |= {name: partial(_run_added, name, case) for name in checks_registry.providers()}
    for name, run in checks.items():
        if name in case.without:
            yield Finding(subject, name, "note", f"does not apply: {case.without[name]}", case=row)
            continue
        try:
            reason = run()
        except Exception as error:
            yield Finding(subject, name, "failed", str(error) or type(error).__name__, error, row)
        else:
            said = f"does not apply: {reason}" if reason else ""
            yield Finding(subject, name, "note" if reason else "passed", said, case=row)


def _run_added(name: str, case: Any) -> str | None:
    """Run a check that a plugin adds; returns why it does not apply, None where it passes."""
    reason: str | None = checks_registry.load(name)(case)
    return reason


#: What made-up cases give a layer: all bottoms of one of these shapes.
_SHAPES = ((2, 3, 8, 8), (2, 3), (4,))


def _made_up(layer_type: str, cls: Any) -> Finding:
    """A case with standard normal bottoms, for a layer without cases. What it fails may be the case's fault."""
    from bicerin.testing import CHECKS, layer_case

    subject, least = f"layer {layer_type}", cls.counts.bottom.least
    reason = ""
    for shape in _SHAPES:
        made = layer_case("made up", f'type: "{layer_type}"', [shape] * least)
        try:
            made.run().forward()
        except Exception as error:
            reason = reason or str(error).partition("\n")[0]
            continue
        failed = []
        for name, run in CHECKS.items():
            try:
                run(made, "cpu")
            except Exception as error:
                failed.append(f"{name} ({str(error).partition(chr(10))[0]})")
        said = f"no case is shipped; with {least} made-up bottom(s) {shape} it passes {len(CHECKS) - len(failed)} of "
        return Finding(
            subject, "made-up case", "note", f"{said}{len(CHECKS)} checks" + "".join(f"; not {one}" for one in failed)
        )
    return Finding(subject, "made-up case", "note", f"not run: no case is shipped, and a made-up one fails: {reason}")


def _plain(one: Finding) -> dict[str, Any]:
    names = ("subject", "case", "check", "outcome", "detail")
    return {name: getattr(one, name) for name in names}


def _short(detail: str) -> str:
    line = detail.partition("\n")[0]
    return line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}..."


#: Of a detail in the table: what failed is told in full below it.
_MOST_LETTERS = 120

_MARKS = {"passed": "passed", "failed": "FAILED", "note": "-"}


def _print(findings: Sequence[Finding]) -> None:
    from bicerin.cli.table import console, new_table

    output = console()
    table = new_table("What", "Case", "Check", "Outcome", "")
    for (subject, case, outcome), group in groupby(findings, lambda one: (one.subject, one.case, one.outcome)):
        rows = list(group)
        if case and outcome == "passed" and len(rows) > 1:
            table.add_row(subject, case, f"{len(rows)} checks", _MARKS[outcome], "")
            continue
        for one in rows:
            table.add_row(subject, case, one.check, _MARKS[outcome], _short(one.detail))
    output.print(table)
    failed = [one for one in findings if one.outcome == "failed"]
    for one in failed:
        where = ", ".join(filter(None, (one.subject, one.case, one.check)))
        output.print(f"\n{where}: {one.detail}")
        if one.error is not None and (is_verbose() or not isinstance(one.error, (BicerinError, AssertionError))):
            output.print("".join(traceback.format_exception(one.error)).rstrip())
    passed = sum(one.outcome == "passed" for one in findings)
    output.print(f"\n{passed} passed, {len(failed)} failed")
