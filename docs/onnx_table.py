"""Write the table in onnx.md anew, from the layers' functions and cases: `python docs/onnx_table.py`.

Every case of every installed layer that is exported runs in ONNX Runtime, and so do those that Caffe computed.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import ceil, log10
from pathlib import Path
from typing import Any

from bicerin.discovery.registry import Registry
from bicerin.errors import LayerError
from bicerin.layer import Phase
from bicerin.testing.recorded import recorded_run
from bicerin.testing.run import LayerRun
from bicerin_onnx.comparison import compare
from bicerin_onnx.hooks import hooks

PAGE = Path(__file__).with_name("onnx.md")
ROOT = PAGE.parents[1]
START, END = "<!-- table -->\n", "<!-- end of table -->\n"
HEAD = "| layer | operators | refused | cases | worst difference |\n| --- | --- | --- | --- | --- |\n"
CASES = Registry("bicerin.cases", "table of cases")


@dataclass
class Row:
    operators: dict[str, None] = field(default_factory=dict)
    cases: int = 0
    worst: float = 0.0


def measured() -> dict[str, Row]:
    """What the cases of each layer type became, and how far it was from the layer."""
    rows: dict[str, Row] = {}
    runs = [replace(case, phase="TEST").run() for name in CASES.providers() for case in CASES.load(name)]
    runs += [recorded_run(file)[0] for file in sorted(ROOT.glob("plugins/*/tests/recorded/*.npz"))]
    for run in runs:
        layer = run.layer
        if layer.type not in hooks or layer.type == "Python" or not run.top or not tells(run):
            continue
        try:
            found = compare(run)
        except LayerError:
            continue  # refused
        row = rows.setdefault(layer.type, Row())
        row.operators |= dict.fromkeys(found.operators)
        row.cases += 1
        row.worst = max(row.worst, *found.differences)
    return rows


def tells(run: LayerRun) -> bool:
    """Whether the layer computes in this phase what it computes in TEST."""
    of_the_phase = {"Dropout", "BatchNorm", "Pooling", "SPP", "Proposal"}
    return run.layer.phase is Phase.TEST or run.layer.type not in of_the_phase


def refusals(hook: Callable[..., Any]) -> list[str]:
    """The sentences with which a function, or one of its module that it calls, refuses options."""
    functions = {
        node.name: node
        for node in ast.parse(inspect.getsource(sys.modules[hook.__module__])).body
        if isinstance(node, ast.FunctionDef)
    }
    found: list[str] = []
    seen: set[str] = set()
    waiting = [hook.__name__]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(functions[name]):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id in functions:
                waiting.append(node.func.id)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "refuse":
                found.append(sentence(node.args[0]))
    return found


def sentence(node: ast.expr) -> str:
    """A text, with dots where it says what was given."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
    assert isinstance(node, ast.Constant)
    return str(node.value)


def table() -> str:
    rows = measured()
    found = sorted((providers[0].distribution, name) for name, providers in hooks.providers().items())
    parts = []
    for distribution, names in groupby(found, key=lambda pair: pair[0]):
        lines = []
        for _, name in names:
            row = rows.get(name, Row())
            operators = ", ".join(sorted(row.operators)) or LEFT_OUT.get(name, "")
            refused = " ".join(refusals(hooks.load(name)))
            worst = decade(row.worst) if row.cases else ""
            lines.append(f"| {name} | {operators} | {refused} | {row.cases or ''} | {worst} |\n")
        parts.append(f"**{distribution}**\n\n{HEAD}{''.join(lines)}")
    return "\n".join(parts)


def decade(difference: float) -> str:
    """Rounded up to a power of ten, since another processor rounds otherwise."""
    return f"1e{ceil(log10(difference))}" if difference else "0"


LEFT_OUT = {
    "Python": "what `to_onnx` of the user's class says",
    "Silence": "left out",
}


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(f"{before}{START}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
