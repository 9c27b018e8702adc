"""Elementwise operations: one scalar formula in Python, of which the host's loop and the CUDA kernel are made.

    @elementwise("x -> y", array=forward_array)
    def forward(x, slope):
        # A comparison that NaN fails, so that NaN stays NaN.
        return x if x > 0 else x * slope

    forward(x, 0.1, y)    # flat arrays x and y, a number

The signature names the arrays that are read and written, element by element; what it does not name is a number.
`"x, slope[c] -> y"` has a value for each channel, of arrays of shape (outer, channels, inner). An array may be on both
sides. The call's arguments are the function's, and then those outputs that are not among them.

A formula is assignments and a return of one value for each output, made of numbers, + - * /, comparisons, `and`, `or`,
`not`, `a if b else c`, NumPy's exp, log, sqrt, tanh, abs, log1p and expm1, and calls of other formulas (`formula`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bicerin.kernels import compiled
from bicerin.kernels.exp import exponential
from bicerin.kernels.formula_text import Inlined, Printer, parsed
from bicerin.kernels.operations import Operation, operation

_HOST = """
def {name}_unit(unit, worker, {arguments}):
    {prepare}
    for i in range({first}.size):
        {body}

def {name}({arguments}):
    spread({name}_unit, {units}, num_workers({first}.size), ({given}))
"""

_CUDA = """extern "C" __global__ void {name}({parameters}) {{
  ELEMENT(i, n);
  {body}
}}
"""


def formula(function: Any) -> Any:
    """Mark a function of one returned expression as part of formulas, which take it in as it stands."""
    function.is_formula = True
    return function


def has_rows(x: Any, *_: Any) -> bool:
    """Whether the loop is the faster form for (outer, channels, inner): where inner is 1, NumPy runs along the
    channels, if they are many.
    """
    return bool(x.shape[2] > 1 or x.size < 1000)


def elementwise(
    signature: str,
    *,
    array: Callable[..., Any],
    fastmath: Any = False,
    compiled_where: Callable[..., Any] | None = None,
) -> Callable[[Any], Operation]:
    """Make an operation of the decorated formula.

    Args:
        signature: the arrays: those read, "->", those written; see the module's text.
        array: the independent reference, which takes the array module and the call's arguments.
        fastmath, compiled_where: as for `operation`. Where there is a value for each channel, the loop runs by default
            for arrays that have rows: see `has_rows`.

    Raises:
        SyntaxError: the formula has something that a formula cannot have.
    """

    def decorate(function: Any) -> Operation:
        scalar = _Formula(function, signature)
        host, text = scalar.host(fastmath)
        where = compiled_where
        if where is None and scalar.channel:
            first = scalar.arguments.index(scalar.each[0])
            where = lambda *arguments: has_rows(arguments[first])  # noqa: E731
        made = operation(array, fastmath=fastmath, compiled_where=where, text=text)(host)
        made.text = scalar.cuda()
        made.launch = scalar.launch
        return made

    return decorate


class _Formula:
    def __init__(self, function: Any, signature: str) -> None:
        reads, writes = ([name.strip() for name in side.split(",")] for side in signature.split("->"))
        self.function = function
        self.name: str = function.__name__
        self.channel = [name[:-3] for name in reads if name.endswith("[c]")]
        self.writes = writes
        parameters, statements, returned = parsed(function)
        self.arguments = [*parameters, *(name for name in writes if name not in parameters)]
        self.each = [name for name in self.arguments if name in reads or name in writes]
        self.statements = [Inlined(function).visit(one) for one in statements]
        self.returned = Inlined(function).visit(returned)
        self.loaded = [name for name in parameters if name in self.each or name in self.channel]

    def host(self, fastmath: Any) -> tuple[Any, str]:
        """The kernel that spreads the loop, as a function of the formula's own module, and its text."""
        printer = Printer(self.loaded, host=True, real=f"{self.each[0]}.dtype.type")
        first, rows = self.each[0], bool(self.channel)
        prepare = [f"{name} = {name}[unit]" if rows else f"{name} = piece({name}, unit)" for name in self.each]
        prepare += [f"{name}_i = {name}[unit % {name}.size]" for name in self.channel]
        body = [f"{name}_i = {name}[i]" for name in self.loaded if name in self.each]
        body += printer.statements(self.statements, "{} = {}") + printer.outputs(self.returned, self.writes, "{} = {}")
        prepare += [f"{name} = {value}" for name, value in printer.constants.items()]
        flat = "{0}.reshape({0}.shape[0] * {0}.shape[1], {0}.shape[2])" if rows else "{0}"
        given = [
            flat.format(name) if name in self.each else name if name in self.channel else f"{first}.dtype.type({name})"
            for name in self.arguments
        ]
        text = _HOST.format(
            name=self.name,
            arguments=", ".join(self.arguments),
            first=first,
            prepare="\n    ".join(prepare),
            body="\n        ".join(body),
            units=f"{first}.shape[0] * {first}.shape[1]" if rows else f"pieces({first})",
            given=", ".join(given) + ",",
        )
        # In the formula's file and at its lines, so that what is compiled is kept on disk beside it.
        code = self.function.__code__
        lines = "\n" * (code.co_firstlineno - 1)
        names = {**vars(compiled), "np": np, "exponential": exponential}
        names |= {name: self.function.__globals__.get(name) for name in ("__name__", "__package__")}
        exec(compile(lines + text, code.co_filename, "exec"), names)  # our own text, of a function in an installed file
        names[f"{self.name}_unit"] = compiled.part(names[f"{self.name}_unit"], fastmath=fastmath, text=text)
        return names[self.name], text

    def cuda(self) -> str:
        """The CUDA kernel."""
        printer = Printer(self.loaded, host=False)
        parameters = ["int n"]
        for name in self.arguments:
            is_array = name in self.each or name in self.channel
            const = "const " if is_array and name not in self.writes else ""
            # With an ending, since a name may be a word of C++.
            parameters.append(f"{const}real{'*' if is_array else ''} {name}_{'p' if is_array else 'n'}")
        parameters += ["int channels", "int inner"] if self.channel else []
        place = {name: "i / inner % channels" if name in self.channel else "i" for name in self.loaded}
        body = [f"const real {name}_i = {name}_p[{place[name]}];" for name in self.loaded]
        body += printer.statements(self.statements, "const real {} = {};")
        body += printer.outputs(self.returned, self.writes, "const real {} = {};", "{}_p[i] = {};")
        return _CUDA.format(name=self.name, parameters=", ".join(parameters), body="\n  ".join(body))

    def launch(self, kernels: Any, *arguments: Any) -> None:
        array = arguments[self.arguments.index(self.each[0])]
        getattr(kernels, self.name)(array.size, *arguments, *(array.shape[1:] if self.channel else ()))
