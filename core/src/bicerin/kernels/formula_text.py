"""The text of formulas: their syntax tree, other formulas put into it, and its expressions as Numba or CUDA C has them.

What a formula may be made of is said in `formulas`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

#: NumPy's name -> the host's and CUDA's.
_FUNCTIONS = {
    "exp": ("exponential", "exp"),
    "abs": ("np.abs", "fabs"),
    **{name: (f"np.{name}", name) for name in ("log", "sqrt", "tanh", "log1p", "expm1")},
}
_SYMBOLS = {ast.And: "&&", ast.Or: "||", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.USub: "-"}
_SYMBOLS |= {ast.Not: "!", ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!="}


def parsed(function: Any) -> tuple[list[str], list[ast.stmt], ast.expr]:
    """A formula's parameters, its statements without the docstring, and what it returns."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    *statements, last = tree.body
    if not isinstance(last, ast.Return) or last.value is None:
        raise SyntaxError(f"{function.__name__}: a formula must end with a return.")
    statements = [one for one in statements if not isinstance(one, ast.Expr)]
    return [argument.arg for argument in tree.args.args], statements, last.value


class Inlined(ast.NodeTransformer):
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
        names, statements, returned = parsed(called)
        if statements:
            raise SyntaxError(f"{called.__name__}: a formula that others call must be one returned expression.")
        return Inlined(called, dict(zip(names, node.args, strict=True))).visit(returned)


class Printer:
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
