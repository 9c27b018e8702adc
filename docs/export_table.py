"""Write the tables in onnx.md and torch.md anew, from the layers' functions and cases: `python docs/export_table.py`.

Every case of every installed layer that is exported runs in ONNX Runtime, or in PyTorch, and so do those that Caffe
computed. With `onnx` or `torch` behind it, it writes that table alone.
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
from bicerin_onnx.comparison import Comparison, compare, compare_in_torch
from bicerin_onnx.hooks import Hooks, hooks, torch_hooks

ROOT = Path(__file__).parents[1]
START, END = "<!-- table -->\n", "<!-- end of table -->\n"
HEAD = "| layer | {} | refused | cases | worst difference |\n| --- | --- | --- | --- | --- |\n"
CASES = Registry("bicerin.cases", "table of cases")


@dataclass
class Table:
    """One page's.

    Attributes:
        hooks: what its layers are.
        compare: a layer with what its function makes.
        operators: what the column of those is called.
        left_out: what stands there for a layer without cases.
    """

    hooks: Hooks
    compare: Callable[[LayerRun], Comparison]
    operators: str
    left_out: dict[str, str]


#: What only looks at what others made.
LEFT_OUT = dict.fromkeys(
    ("DetectionEvaluate", "EvalDetection", "LabelsequenceAccuracy", "ParseEvaluate", "SegAccuracy", "Silence"),
    "left out",
)
TABLES = {
    "onnx": Table(hooks, compare, "operators", {"Python": "what `to_onnx` of the user's class says", **LEFT_OUT}),
    "torch": Table(
        torch_hooks,
        compare_in_torch,
        "in PyTorch",
        {"Python": "what `to_torch` of the user's class says", **LEFT_OUT},
    ),
}


@dataclass
class Row:
    operators: dict[str, None] = field(default_factory=dict)
    cases: int = 0
    worst: float = 0.0


def measured(table: Table) -> dict[str, Row]:
    """What the cases of each layer type became, and how far it was from the layer."""
    rows: dict[str, Row] = {}
    runs = [replace(case, phase="TEST").run() for name in CASES.providers() for case in CASES.load(name)]
    runs += [recorded_run(file)[0] for file in sorted(ROOT.glob("plugins/*/tests/recorded/*.npz"))]
    for run in runs:
        layer = run.layer
        if layer.type not in table.hooks or layer.type == "Python" or not run.top or not tells(run):
            continue
        try:
            found = table.compare(run)
        except LayerError:
            continue  # refused
        row = rows.setdefault(layer.type, Row())
        row.operators |= dict.fromkeys(found.operators)
        row.cases += 1
        row.worst = max(row.worst, *found.differences)
    return rows


def tells(run: LayerRun) -> bool:
    """Whether the layer computes in this phase what it computes in TEST."""
    of_the_phase = {"Dropout", "BatchNorm", "LabelSpecificAdd", "Pooling", "SPP", "Proposal", "DecodeBBox"}
    return run.layer.phase is Phase.TEST or run.layer.type not in of_the_phase


def refusals(hook: Callable[..., Any]) -> list[str]:
    """The sentences with which a function, or one of its package that it calls, refuses options."""
    package = hook.__module__.split(".")[0]
    found: list[str] = []
    seen: set[Callable[..., Any]] = set()
    waiting = [hook]
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        for node in ast.walk(ast.parse(inspect.getsource(function))):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name):
                called = function.__globals__.get(node.func.id)
                if inspect.isfunction(called) and called.__module__.split(".")[0] == package:
                    waiting.append(called)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "refuse":
                found.append(sentence(node.args[0]))
    return found


def sentence(node: ast.expr) -> str:
    """A text, with dots where it says what was given."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
    assert isinstance(node, ast.Constant)
    return str(node.value)


def text(table: Table) -> str:
    rows = measured(table)
    found = sorted((providers[0].distribution, name) for name, providers in table.hooks.providers().items())
    parts = []
    for distribution, names in groupby(found, key=lambda pair: pair[0]):
        lines = []
        for _, name in names:
            row = rows.get(name, Row())
            other = table.left_out.get(name, "indices" if row.cases else "")
            operators = ", ".join(map(code, sorted(row.operators))) or other
            refused = " ".join(refusals(table.hooks.load(name)))
            worst = decade(row.worst) if row.cases else ""
            lines.append(f"| {name} | {operators} | {refused} | {row.cases or ''} | {worst} |\n")
        parts.append(f"**{distribution}**\n\n{HEAD.format(table.operators)}{''.join(lines)}")
    return "\n".join(parts)


def code(name: str) -> str:
    """A sign is not to be taken for Markdown's."""
    return name if any(map(str.isalpha, name)) else f"`{name}`"


def decade(difference: float) -> str:
    """Rounded up to a power of ten, since another processor rounds otherwise."""
    return f"1e{ceil(log10(difference))}" if difference else "0"


if __name__ == "__main__":
    for name in sys.argv[1:] or TABLES:
        page = Path(__file__).with_name(f"{name}.md")
        before, _, rest = page.read_text(encoding="utf-8").partition(START)
        after = rest.partition(END)[2]
        page.write_text(f"{before}{START}\n{text(TABLES[name])}\n{END}{after}", encoding="utf-8")
