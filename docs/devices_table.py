"""Write the table in devices.md anew, from what the installed layers declare: `python docs/devices_table.py`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from bicerin.cli.plugins_list import implementations
from bicerin.layer.layer import layers

PAGE = Path(__file__).with_name("devices.md")
START, END = "<!-- table -->\n", "<!-- end of table -->\n"
HEAD = "| layer | CPU | GPU |\n| --- | --- | --- |\n"


def rows() -> dict[str, list[str]]:
    """The lines of the table for each installed distribution."""
    found = sorted((providers[0].distribution, name) for name, providers in layers.providers().items())
    return {
        distribution: [
            f"| {name} | {' | '.join(implementations(layers.load(name, {name: distribution})))} |\n"
            for _, name in names
        ]
        for distribution, names in groupby(found, key=lambda pair: pair[0])
    }


def table() -> str:
    return "\n".join(f"**{distribution}**\n\n{HEAD}{''.join(lines)}" for distribution, lines in rows().items())


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(f"{before}{START}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
