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

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bicerin.kernels import compiled
from bicerin.kernels.exp import exponential
from bicerin.kernels.operations import Operation, operation

#: NumPy's name -> the host's and CUDA's.
_FUNCTIONS = {
    "exp": ("exponential", "exp"),
    "abs": ("np.abs", "fabs"),
    **{name: (f"np.{name}", name) for name in ("log", "sqrt", "tanh", "log1p", "expm1")},
}
_SYMBOLS = {ast.And: "&&", ast.Or: "||", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.USub: "-"}
_SYMBOLS |= {ast.Not: "!", ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!="}

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
        parsed = _Formula(function, signature)
        host, text = parsed.host(fastmath)
        where = compiled_where
        if where is None and parsed.channel:
            first = parsed.arguments.index(parsed.each[0])
            where = lambda *arguments: has_rows(arguments[first])  # noqa: E731
        made = operation(array, fastmath=fastmath, compiled_where=where, text=text)(host)
        made.text = parsed.cuda()
        made.launch = parsed.launch
        return made

    return decorate


class _Formula:
    def __init__(self, function: Any, signature: str) -> None:
        reads, writes = ([name.strip() for name in side.split(",")] for side in signature.split("->"))
        self.function = function
        self.name: str = function.__name__
        self.channel = [name[:-3] for name in reads if name.endswith("[c]")]
        self.writes = writes
        parameters, statements, returned = _parsed(function)
        self.arguments = [*parameters, *(name for name in writes if name not in parameters)]
        self.each = [name for name in self.arguments if name in reads or name in writes]
        self.statements = [_Inlined(function).visit(one) for one in statements]
        self.returned = _Inlined(function).visit(returned)
        self.loaded = [name for name in parameters if name in self.each or name in self.channel]

    def host(self, fastmath: Any) -> tuple[Any, str]:
        """The kernel that spreads the loop, as a function of the formula's own module, and its text."""
        printer = _Printer(self.loaded, host=True, real=f"{self.each[0]}.dtype.type")
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
        printer = _Printer(self.loaded, host=False)
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


def _parsed(function: Any) -> tuple[list[str], list[ast.stmt], ast.expr]:
    """A formula's parameters, its statements without the docstring, and what it returns."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    *statements, last = tree.body
    if not isinstance(last, ast.Return) or last.value is None:
        raise SyntaxError(f"{function.__name__}: a formula must end with a return.")
    statements = [one for one in statements if not isinstance(one, ast.Expr)]
    return [argument.arg for argument in tree.args.args], statements, last.value


class _Inlined(ast.NodeTransformer):
    """Puts the expressions of other formulas in the place of their calls."""

    def __init__(self, function: Any, given: Mapping[str, ast.expr] | None = None) -> None:
        self.globals = function.__globals__
        self.given = given or {}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.given.get(node.id, node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        called: Any = self.globals.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if not getattr(called, "is_formula", False):
            return node
        names, statements, returned = _parsed(called)
        if statements:
            raise SyntaxError(f"{called.__name__}: a formula that others call must be one returned expression.")
        return _Inlined(called, dict(zip(names, node.args, strict=True))).visit(returned)


class _Printer:
    """Prints expressions for Numba or for CUDA C, in which numbers are reals.

    An array's element is called NAME_i, what is assigned NAME_v, and an output NAME_out, so that none hides an array.
    """

    def __init__(self, loaded: list[str], host: bool, real: str = "") -> None:
        self.loaded = loaded
        self.host = host
        self.real = real
        self.constants: dict[str, str] = {}
        self.assigned: set[str] = set()

    def statements(self, nodes: list[ast.stmt], form: str) -> list[str]:
        lines = []
        for node in nodes:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                raise SyntaxError(f"a formula may only assign names and return, and cannot have `{ast.unparse(node)}`.")
            name, value = node.targets[0].id, self.text(node.value)
            if name in self.assigned:
                raise SyntaxError(f"a formula may assign a name only once, and cannot have `{ast.unparse(node)}`.")
            self.assigned.add(name)
            lines.append(form.format(f"{name}_v", value))
        return lines

    def outputs(self, returned: ast.expr, writes: list[str], form: str, store: str = "{}[i] = {}") -> list[str]:
        """All values, and then all stores, since an output may be an input."""
        values = returned.elts if isinstance(returned, ast.Tuple) else [returned]
        pairs = list(zip(writes, values, strict=True))
        computed = [form.format(f"{name}_out", self.text(value)) for name, value in pairs]
        return computed + [store.format(name, f"{name}_out") for name, _ in pairs]

    def text(self, node: Any) -> str:
        match node:
            case ast.Name(id=name):
                number = name if self.host else f"{name}_n"
                return f"{name}_v" if name in self.assigned else f"{name}_i" if name in self.loaded else number
            case ast.Constant(value=value):
                if not self.host:
                    return f"(real){value!r}"
                name = f"number_{len(self.constants)}"
                self.constants[name] = f"{self.real}({value!r})"
                return name
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _SYMBOLS:
                sign = "not " if self.host and isinstance(op, ast.Not) else _SYMBOLS[type(op)]
                return f"({sign}{self.text(operand)})"
            case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]) if (
                type(op) in _SYMBOLS
            ):
                return f"({self.text(left)} {_SYMBOLS[type(op)]} {self.text(right)})"
            case ast.BoolOp(op=op, values=values):
                word = type(op).__name__.lower() if self.host else _SYMBOLS[type(op)]
                return "(" + f" {word} ".join(map(self.text, values)) + ")"
            case ast.IfExp(test=test, body=body, orelse=other):
                condition, first, second = map(self.text, (test, body, other))
                return f"({first} if {condition} else {second})" if self.host else f"({condition} ? {first} : {second})"
            case ast.Call(func=ast.Attribute(attr=name), args=arguments) if name in _FUNCTIONS:
                called = _FUNCTIONS[name][0 if self.host else 1]
                return f"{called}({', '.join(map(self.text, arguments))})"
        raise SyntaxError(f"a formula cannot have `{ast.unparse(node)}`.")
