"""Write the pages of the reference that are made of the code: a page for each installed layer type, and the commands.

python docs/generate_reference.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from bicerin.cli.command_line import command_line
from bicerin.cli.layer_description import LayerDescription, describe_layer
from bicerin.layer.layer import layers

DOCS = Path(__file__).parent


def layer_page(layer: LayerDescription) -> str:
    """One layer type, as Markdown."""
    tops = (
        layer.top
        + (", as many as bottoms" if layer.equal else "")
        + (", made where left out" if layer.auto_top else "")
    )
    exported = ", ".join({"onnx": "ONNX", "torch": "PyTorch"}[name] for name in layer.exports)
    lines = [
        f"# {layer.type}\n",
        f"Of `{layer.distribution}`: `pip install {layer.distribution}`.\n",
        _block("text", layer.text),
        _block("text", layer.blobs),
        "| | |",
        "| --- | --- |",
        f"| bottoms | {layer.bottom} |",
        f"| tops | {tops} |",
        f"| CPU | {_cell(layer.runs['cpu'])} |",
        f"| GPU | {_cell(layer.runs['gpu'])} |",
        f"| exported to | {exported or 'nothing'} |",
        "",
    ]
    if layer.parameters:
        lines += ["## Parameters\n", "| field | type | default | meaning |", "| --- | --- | --- | --- |"]
        for one in layer.parameters:
            added = f" (of {', '.join(one.added_by)})" if one.added_by else ""
            kind, default = _cell(f"`{one.type}`"), f"`{one.default}`" if one.default else ""
            lines.append(f"| `{one.name}` | {kind} | {_cell(default)} | {_cell(one.comment + added)} |")
        lines.append("")
    if layer.example:
        lines += ["## A net with it\n", _block("text", layer.example)]
    return "\n".join(lines)


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def commands_page() -> str:
    """All commands with their options, as Markdown."""
    lines = ["# Commands\n", "`bicerin COMMAND --help` says the same.\n"]
    for name, command, context in _commands(command_line, None, "bicerin"):
        lines += [f"## {name}\n", _block("text", command.get_help(context))]
    return "\n".join(lines)


def _commands(group: Any, above: click.Context | None, name: str) -> Iterator[tuple[str, Any, click.Context]]:
    context = click.Context(group, above, info_name=name.rpartition(" ")[2], max_content_width=100, terminal_width=100)
    yield name, group, context
    for inner in group.list_commands(context) if hasattr(group, "list_commands") else ():
        yield from _commands(group.get_command(context, inner), context, f"{name} {inner}")


def main(folder: Path) -> None:
    pages = folder / "layers"
    pages.mkdir(parents=True, exist_ok=True)
    for old in pages.glob("*.md"):
        old.unlink()
    by_distribution: dict[str, list[str]] = {}
    for name in sorted(layers.providers()):
        found = describe_layer(name)
        by_distribution.setdefault(found.distribution, []).append(name)
        (pages / f"{name}.md").write_text(layer_page(found), "utf-8")
    index = ["# Layers\n", "`bicerin plugins show TYPE` says the same of the layers that you have installed.\n"]
    for distribution, names in sorted(by_distribution.items()):
        index += [f"## {distribution}\n", "```{toctree}", ":maxdepth: 1\n", *names, "```\n"]
    (pages / "index.md").write_text("\n".join(index), "utf-8")
    (folder / "commands.md").write_text(commands_page(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
