"""Write the table in devices.md anew, from what the installed layers declare: `python docs/devices_table.py`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from bicerin.layer import Layer
from bicerin.layer.layer import layers, runs_on_device

PAGE = Path(__file__).with_name("devices.md")
START, END = "<!-- table -->\n", "<!-- end of table -->\n"
HEAD = "| layer | CPU | GPU |\n| --- | --- | --- |\n"


def implementations(cls: type[Layer]) -> tuple[str, str]:
    """What a layer runs on the CPU and on a GPU, operation by operation; the rest of it is array code."""
    operations = cls.operations.all.values()
    cpu = forms([(one.on_host, one.name) for one in operations])
    if cls.runs_on == "host":
        return cpu, "the CPU's, by nature"
    if not runs_on_device(cls):
        return cpu, "runs on the CPU"
    gpu = forms([(one.on_device, one.name) for one in operations])
    own = "own code" if hasattr(cls, "forward_gpu") else ""
    return ", ".join(filter(None, (own, cpu if operations or not own else ""))), ", ".join(
        filter(None, (own, gpu if operations or not own else ""))
    )


def forms(operations: list[tuple[str, str]]) -> str:
    """Such as "CUDA C: forward, backward; array: sums"."""
    words = {"compiled": "compiled", "cuda": "CUDA C", "array": "array", "host": "on the CPU"}
    told = []
    for form, word in words.items():
        names = [name for found, name in operations if found == form]
        if names:
            told.append(f"{word}: {', '.join(names)}")
    return "; ".join(told) or "array"


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
