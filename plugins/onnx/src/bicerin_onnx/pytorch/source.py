"""From expressions to the text of a Python module."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import bicerin
from bicerin.errors import NetError
from bicerin.layer.blob import Blob
from bicerin_onnx.graph import Graph, Value
from bicerin_onnx.names import free_name
from bicerin_onnx.pytorch.expression import Expression, Part
from bicerin_proto.quotation import printable

#: Names that are the file's own.
_TAKEN = {"self", "torch", "nn", "F", "Tensor", "Path", "load", "load_file", "LOSS_WEIGHTS", "seen", *keyword.kwlist}
#: What `nn.Module` has: no part may have such a name.
_OF_MODULES = """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches
    eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict
    modules mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook
    register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook
    register_module register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu zero_grad
"""
_TOKEN = re.compile(r"‹(p?)(\d+)›")
_LONGEST = 120


class Source:
    """The text of a module.

    Args:
        graph: of expressions.
        name: the net's.
        loss_weights: of the outputs that are losses.

    Attributes:
        class_name: the module's.
        tensors: the values of its parameters and buffers, by their names in its `state_dict`.
    """

    def __init__(self, graph: Graph, name: str, loss_weights: Mapping[str, float]) -> None:
        self.graph = graph
        self.name = name
        self.loss_weights = loss_weights
        self.class_name = _identifier(name[:1].upper() + name[1:]) if name else "Net"
        self.lines = [one for one in graph.operations if isinstance(one, Expression)]
        self.functions = list(dict.fromkeys(function for line in self.lines for function in line.functions))
        for function in self.functions:
            same = [other for other in self.functions if other.__name__ == function.__name__]
            if len(same) > 1:
                raise NetError(
                    f"{same[0].__module__} and {same[1].__module__} both bring a function {function.__name__}."
                )
        taken = _TAKEN | {self.class_name} | {function.__name__ for function in self.functions}
        self.variables = self._variables(taken)
        self.tensors: dict[str, np.ndarray] = {}
        self.parts: dict[int, str] = {}
        self.constructors = self._constructors()

    def _variables(self, taken: set[str]) -> dict[int, str]:
        """A variable for each value: the blob's name in the net, unless that holds another value that is read later."""
        last = {id(value): place for place, line in enumerate(self.lines) for value in line.inputs if value is not None}
        last |= {id(value): len(self.lines) for value in self.graph.outputs}
        by_blob: dict[str, str] = {}
        holds: dict[str, Value] = {}
        variables: dict[int, str] = {}

        def assign(value: Value, blob: str, place: int) -> None:
            if blob not in by_blob:
                by_blob[blob] = free_name([_identifier(blob)], taken | set(by_blob.values()))
            name = by_blob[blob]
            if name in holds and last.get(id(holds[name]), -1) > place:
                name = free_name([_identifier(value.name)], taken | set(by_blob.values()) | set(holds))
            holds[name] = value
            variables[id(value)] = name

        for value in self.graph.inputs:
            assign(value, value.name, -1)
        for place, line in enumerate(self.lines):
            for value, blob in zip(line.outputs, line.targets, strict=True):
                assign(value, blob, place)
        return variables

    def _constructors(self) -> list[str]:
        """The lines of `__init__`."""
        taken = {"seen", *_OF_MODULES.split()}
        owners: dict[tuple[int, tuple[int, ...]], str] = {}
        shapes: dict[int, tuple[int, ...]] = {}
        lines = []
        for line in self.lines:
            for part in line.parts:
                if id(part) in self.parts:
                    continue
                wanted = f"{part.layer}_{part.suffix}" if part.suffix else part.layer
                name = free_name([_identifier(wanted)], taken)
                taken.add(name)
                self.parts[id(part)] = name
                comment = f"  # {printable(part.layer)}" if _identifier(part.layer) != part.layer else ""
                ties = []
                for key, value in part.arrays.items():
                    path = f"{name}.{key}" if key else name
                    self.tensors[path] = value.array
                    if not isinstance(value.source, Blob) or part.kind == "buffer" or not value.array.size:
                        continue
                    address, shape = value.source.read_only.data.ctypes.data, value.shape or ()
                    if shapes.setdefault(address, shape) != shape:
                        raise NetError(
                            f'layer "{part.layer}" shares a blob of the shape {shapes[address]} as {shape}: PyTorch '
                            "shares parameters of one shape."
                        )
                    owner = owners.setdefault((address, shape), path)
                    if owner != path:
                        ties.append((path, owner))
                if part.is_module:
                    lines.append(f"self.{name} = {part.kind}({', '.join(part.arguments)}){comment}")
                    lines += [f"self.{path} = self.{owner}" for path, owner in ties]
                elif ties:
                    lines.append(f"self.{name} = self.{ties[0][1]}{comment}")
                elif part.kind == "parameter":
                    lines.append(f"self.{name} = nn.Parameter({_empty(part)}){comment}")
                else:
                    lines.append(f'self.register_buffer("{name}", {_empty(part)}){comment}')
        return lines

    def text(self, watched: bool = False) -> str:
        """The file.

        Args:
            watched: put every blob into the dict `seen` of the module, to be compared.
        """
        inputs = [(self.variables[id(value)], value) for value in self.graph.inputs]
        outputs = [(value.name, self.variables[id(value)]) for value in self.graph.outputs]
        described = ", ".join(f"{name} {_dims(value)}" for name, value in inputs) or "nothing"
        made = ", ".join(f"{printable(value.name)} {_dims(value)}" for value in self.graph.outputs)
        parameters = "".join(f", {name}: Tensor" for name, _ in inputs)
        result = "Tensor" if len(outputs) == 1 else "dict[str, Tensor]"
        body = self.constructors
        steps: list[str] = []
        for line in self.lines:
            steps += self._statement(line)
            if watched:
                steps += [f"self.seen[{value.name!r}] = {self.variables[id(value)]}.clone()" for value in line.outputs]
        if len(outputs) == 1:
            steps.append(f"return {outputs[0][1]}")
        else:
            steps.append(f"return {{{', '.join(f'{_quoted(name)}: {variable}' for name, variable in outputs)}}}")
        weights = ""
        if self.loss_weights:
            entries = ", ".join(f"{_quoted(name)}: {weight:g}" for name, weight in self.loss_weights.items())
            weights = f"#: What each loss counts for.\nLOSS_WEIGHTS = {{{entries}}}\n\n\n"
        functions = "".join(f"{_source(function)}\n\n" for function in self.functions)
        title = _plain(self.name) or "A net"
        code = "\n".join(
            [
                f"{weights}{functions}class {self.class_name}(nn.Module):",
                f'    """From {_plain(described)} to {_plain(made)}."""',
                "",
                "    def __init__(self) -> None:",
                "        super().__init__()",
                *(["        self.seen: dict[str, Tensor] = {}"] if watched else []),
                *(f"        {line}" for line in body),
                "",
                f"    def forward(self{parameters}) -> {result}:",
                *(f"        {line}" for name, value in inputs for line in _check(name, value)),
                *(f"        {line}" for line in steps),
                "",
                "",
                f'def load(path: str | Path = Path(__file__).with_suffix(".safetensors")) -> {self.class_name}:',
                '    """The net with its weights, as it is run; `train()` lets it learn on."""',
                f"    net = {self.class_name}()",
                "    net.load_state_dict(load_file(path))",
                "    return net.eval()",
                "",
            ]
        )
        imports = [
            "import torch" if re.search(r"\btorch\.", code) else "",
            "from safetensors.torch import load_file",
            "from torch import Tensor, nn",
            "from torch.nn import functional as F" if re.search(r"\bF\.", code) else "",
        ]
        return "\n".join(
            [
                f'"""{title}: a net of Caffe, written by Bicerin {bicerin.__version__}. Its weights are beside it."""',
                "",
                "from pathlib import Path",
                "",
                *filter(None, imports),
                "",
                "",
                code,
            ]
        )

    def _statement(self, line: Expression) -> list[str]:
        inputs = [self.variables.get(id(value), "") if value is not None else "" for value in line.inputs]

        def name(found: re.Match[str]) -> str:
            place = int(found[2])
            return f"self.{self.parts[id(line.parts[place])]}" if found[1] else inputs[place]

        targets = ", ".join(self.variables[id(value)] for value in line.outputs)
        text = f"{targets} = {_TOKEN.sub(name, line.text)}"
        if len(text) + 8 <= _LONGEST:
            return [text]
        return _wrapped(text)


def _wrapped(text: str) -> list[str]:
    """A long line as several, in the way that `ast` shows where they can be broken: after the commas of its call."""
    tree = ast.parse(text).body[0]
    assert isinstance(tree, ast.Assign)
    call = tree.value
    if not isinstance(call, ast.Call) or not (call.args or call.keywords):
        return [text]
    function = ast.get_source_segment(text, call.func)
    inner = text[text.index(str(function)) + len(str(function)) + 1 : -1]
    parts = [ast.get_source_segment(text, one) or "" for one in (*call.args, *call.keywords)]
    if ", ".join(parts) != inner:
        return [text]
    before = text[: text.index(str(function))]
    return [f"{before}{function}(", *(f"    {part}," for part in parts), ")"]


def _source(function: Callable[..., Any]) -> str:
    return textwrap.dedent(inspect.getsource(function))


def _empty(part: Part) -> str:
    value = part.arrays[""]
    kind = ", dtype=torch.int64" if value.dtype == "int64" else ""
    return f"torch.zeros({value.shape or ()}{kind})"


def _dims(value: Value) -> str:
    dims: Sequence[Any] = value.dims if value.dims is not None else value.shape or ()
    return f"({', '.join(map(str, dims))}{',' * (len(dims) == 1)})"


def _check(name: str, value: Value) -> list[str]:
    """Lines that refuse an input of another size where that may not change, which not every operation would notice."""
    dims: Sequence[Any] = value.dims if value.dims is not None else value.shape or ()
    fixed = [axis for axis, size in enumerate(dims) if isinstance(size, int)]
    if set(fixed) <= {1}:
        return []  # channels, which the first layer's weights know
    if fixed == list(range(fixed[0], len(dims))):
        found, right = f"{name}.shape[{fixed[0]}:]" if fixed[0] else f"{name}.shape", tuple(dims[fixed[0] :])
    else:
        found = f"({', '.join(f'{name}.shape[{axis}]' for axis in fixed)}{',' * (len(fixed) == 1)})"
        right = tuple(dims[axis] for axis in fixed)
    return [
        f"if {found} != {right}:",
        f'    raise ValueError(f"{name} is {_dims(value)}, and not {{tuple({name}.shape)}}")',
    ]


def _identifier(name: str) -> str:
    """A name of Python's that is as near as can be; two underscores at its beginning mean something within a class."""
    text = re.sub(r"^__+", "_", re.sub(r"[^0-9A-Za-z_]", "_", name)) or "_"
    text = f"_{text}" if text[0].isdigit() else text
    return f"{text}_" if keyword.iskeyword(text) else text


def _plain(text: str) -> str:
    """A text for a docstring."""
    return printable(text).replace("\\", "/").replace('"', "'")


def _quoted(text: str) -> str:
    """A literal, in double quotes where that is possible."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if '"' not in literal and literal[0] == "'" else literal
