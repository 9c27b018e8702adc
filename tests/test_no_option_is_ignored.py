"""Every field of the installed schemas is read by code, or has no effect and is said to have none, or is refused.

The tests are made from the schema and from the code's text. A field counts as read where its name stands in the code of
those whose field it is: as an attribute, in a string, or where an f-string makes it. To have no effect is said by
`(bicerin.without) = SAME` beside the field, and for Caffe's own fields here.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto

from bicerin.cli.layer_description import messages_read_by
from bicerin.discovery.registry import plugin_index
from bicerin.errors import IgnoredOptionError
from bicerin.layer.layer import layers
from bicerin.schema.ignored_fields import known_to
from bicerin.schema.installed_schema import layer_owners, read_net, read_solver, schema
from bicerin_proto.cardinality import is_repeated
from bicerin_proto.fragment import WITHOUT, without_it

#: Fields of Caffe 1.0 that say how to compute, or that Caffe reads for formats which have no use for them.
NO_EFFECT = {
    ("ConvolutionParameter", "force_nd_im2col"): "which of two ways to unfold images",
    ("bicerin_rcnn.DeformableConvolutionParameter", "force_nd_im2col"): "which of two ways to unfold images",
    ("SolverParameter", "layer_wise_reduce"): "when gradients of several GPUs are summed",
    ("V0LayerParameter", "new_num"): "of a layer that Caffe's upgrade refuses",
    ("V0LayerParameter", "new_channels"): "of a layer that Caffe's upgrade refuses",
}

#: Messages whose fields are gone through, whatever their names.
READ_AS_A_WHOLE = {"BlobProto", "bicerin_ssd.SampleConstraint"}

#: Messages that a layer hands to code of another distribution, its Geometry, which reads the window's fields.
READ_BY = {"bicerin_rcnn.DeformableConvolutionParameter": {"bicerin-convolution"}}

#: What Caffe's own fields may be read by besides the layers.
EVERYBODY = "everybody"


class Code:
    """Names that stand in modules, and patterns of those that f-strings make."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.patterns: set[str] = set()

    def add(self, tree: ast.AST) -> None:
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                    self.names.add(name)
                case ast.Constant(value=str(text)) if len(text) < 80:
                    self.names.update(re.findall(r"\w+", text))
                case ast.JoinedStr(values=values):
                    text = "".join(str(one.value) for one in values if isinstance(one, ast.Constant))
                    made = sum(isinstance(one, ast.FormattedValue) for one in values)
                    if re.fullmatch(r"_?[a-z]\w*", text) and (made == 1 or len(text) > 5):
                        parts = [one.value if isinstance(one, ast.Constant) else r"\w+" for one in values]
                        self.patterns.add("".join(parts))

    def reads(self, name: str) -> bool:
        return name in self.names or any(re.fullmatch(pattern, name) for pattern in self.patterns)


@cache
def tree(module: str) -> tuple[ast.Module, bool] | None:
    """The module's text, parsed, and whether it is a package; None where there is no such module."""
    try:
        spec = find_spec(module)
    except ImportError:
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return ast.parse(Path(spec.origin).read_text()), spec.submodule_search_locations is not None


def imported_by(module: str) -> set[str]:
    found = tree(module)
    assert found is not None
    names: set[str] = set()
    for node in ast.walk(found[0]):
        if isinstance(node, ast.Import):
            names.update(one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return names


@cache
def code_behind(module: str) -> Code:
    """A module, and what it imports of plugins and of the layers' room of the core, and they."""
    code, seen, todo = Code(), {module}, deque([module])
    while todo:
        one = todo.popleft()
        if (found := tree(one)) is None:
            continue
        if not found[1]:  # a package's __init__ only hands on
            code.add(found[0])
        near = {name for name in imported_by(one) if re.match(r"bicerin_(?!proto)\w+|bicerin\.layer", name)}
        todo.extend(near - seen)
        seen |= near
    return code


@cache
def code_of(distribution: str) -> Code:
    """All of a distribution's modules; of everybody, all that there is."""
    code = Code()
    packages = [distribution.replace("-", "_")]
    if distribution == EVERYBODY:
        # Of bicerin_proto not the lists of what there is.
        packages = ["bicerin", "bicerin_proto.upgrade", *(one.replace("-", "_") for one in sorted(brings_code()))]
    for package in packages:
        spec = find_spec(package)
        assert spec is not None and spec.submodule_search_locations
        for folder in spec.submodule_search_locations:
            for path in Path(folder).rglob("*.py"):
                code.add(ast.parse(path.read_text()))
    return code


@cache
def brings_code() -> frozenset[str]:
    """Who brings layers, solvers, policies or hooks, and not fields alone."""
    groups = ("bicerin.layers", "bicerin.solvers", "bicerin.plugins", "bicerin.lr_policies")
    found = {one.distribution for group in groups for ones in plugin_index()[group].values() for one in ones}
    return frozenset(found - {"bicerin"})


def short(message: Any) -> str:
    name: str = message.full_name
    return name.removeprefix("caffe.")


@cache
def paths() -> dict[str, list[str]]:
    """A message that prototxt may hold -> "net", "layer" or "solver", and the fields that lead to it from there."""
    merged = schema()
    starts = [(merged.NetParameter, ["net"]), (merged.SolverParameter, ["solver"]), (merged.LayerParameter, ["layer"])]
    found = {short(one.DESCRIPTOR): path for one, path in starts}
    todo = deque((one.DESCRIPTOR, path) for one, path in starts)
    while todo:
        message, path = todo.popleft()
        for field in message.fields:
            inner = field.message_type
            if inner is not None and short(inner) not in found:
                found[short(inner)] = [*path, field.name]
                todo.append((inner, found[short(inner)]))
    return found


def descriptor(message: str) -> Any:
    return schema().pool.FindMessageTypeByName(f"caffe.{message}")


def without(message: Any) -> dict[str, str]:
    """A message's fields -> what is computed without them."""
    proto = DescriptorProto()
    message.CopyToProto(proto)
    return {one.name: WITHOUT[without_it(one)] for one in proto.field}


def whose(message: str, name: str) -> set[str]:
    """Who must read a field: those who bring it, or of Caffe's own, anybody."""
    added = schema().added.get((message, name))
    if added is not None:
        readers = brings_code().intersection(added.distributions)
        return {EVERYBODY} if readers and message in ("NetParameter", "SolverParameter") else set(readers)
    namespace, _, own = message.rpartition(".")
    outer = namespace.partition(".")[0]
    return {outer.replace("_", "-")} if own and outer.startswith("bicerin_") else {EVERYBODY}


def takes(distribution: str, message: str) -> bool:
    """Whether a layer of a distribution takes the message, or what leads to it."""
    root, *way = paths()[message]
    return root != "layer" or not way or code_of(distribution).reads(way[0])


@pytest.mark.parametrize("message", sorted(paths()))
def test_every_field_is_read_or_has_no_effect(message: str) -> None:
    """Those of whoever brings fields alone, or no layer that takes the message, are nobody's, and refused."""
    if message in READ_AS_A_WHOLE:
        return
    unread = []
    for name, effect in without(descriptor(message)).items():
        readers = {one for one in whose(message, name) & ({EVERYBODY} | brings_code()) if takes(one, message)}
        no_effect = effect != "OTHER" or (message, name) in NO_EFFECT
        code = [code_of(one) for one in readers | READ_BY.get(message, set())]
        if readers and not no_effect and not any(one.reads(name) for one in code):
            unread.append(name)
    # A layer's own message is read by its layer; that of a layer which nobody brings, by nobody.
    if message == "LayerParameter":
        unread = [name for name in unread if not name.endswith("_param")]
    assert unread == [], (
        f"nothing reads these fields of {message}: honour them, refuse them, or say that nobody misses them"
    )


def test_what_has_no_effect_is_there_and_unread() -> None:
    for message, name in NO_EFFECT:
        assert name in descriptor(message).fields_by_name and not code_of(EVERYBODY).reads(name), (message, name)


def known_fields(
    layer_type: str, owner: str, message: Any, seen: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """The fields that a layer is taken to know, as message and name: all of a plugin's own message, and of those inside
    and of others what plugins added. Those without an effect are left out.
    """
    effects = without(message)
    for field in message.fields:
        added = schema().added.get((short(message), field.name))
        if added is not None and not known_to(layer_type, owner, added):
            continue
        if (added is not None or ("." in short(message) and not seen)) and effects[field.name] == "OTHER":
            yield short(message), field.name
        inner = field.message_type
        if inner is not None and inner.full_name not in seen and inner.name not in ("NetParameter", "BlobProto"):
            yield from known_fields(layer_type, owner, inner, seen | {inner.full_name})


@pytest.mark.parametrize("layer_type", sorted(layers.providers()))
def test_each_layer_reads_the_added_fields_that_it_is_taken_to_know(layer_type: str) -> None:
    """Where others of its package know a field, and it does not, the field says so: `(bicerin.honoured_by)`."""
    cls, owner = layers.load(layer_type), layer_owners()[layer_type]
    fields = schema().LayerParameter.DESCRIPTOR.fields_by_name
    modules = [code_behind(one.__module__) for one in cls.__mro__ if one.__module__.startswith("bicerin")]
    unread = {
        f"{message}.{name}"
        for param in messages_read_by(cls)
        if param in fields
        for message, name in known_fields(layer_type, owner, fields[param].message_type)
        if message not in READ_AS_A_WHOLE | {"FillerParameter"} and (message, name) not in NO_EFFECT
        if not any(code.reads(name) for code in modules)
    }
    assert unread == set(), f"{layer_type} is taken to know these, and does not read them"


def value_of(field: Any) -> str:
    """A value that is not the default."""
    if field.message_type is not None:
        return (
            f"{field.name} {{ {''.join(value_of(one) + ' ' for one in field.message_type.fields if one.is_required)}}}"
        )
    if field.enum_type is not None:
        return f"{field.name}: {next(one.name for one in field.enum_type.values if one.number != field.default_value)}"
    if field.cpp_type == field.CPPTYPE_STRING:
        return f'{field.name}: "of nobody"'
    if field.cpp_type == field.CPPTYPE_BOOL:
        return f"{field.name}: {'false' if field.default_value is True else 'true'}"
    return f"{field.name}: {1 if is_repeated(field) else field.default_value + 1}"


def added_fields() -> list[tuple[str, str]]:
    return sorted((message, name) for message, name in schema().added if message in paths())


def text_of(message: str, name: str) -> tuple[str, str, Any]:
    """Text that sets a field, in a layer that is taken to know none of them; the outermost field of it that is added.

    Returns:
        Text, the path of that field, and its `AddedField`.
    """
    root, *way = paths()[message]
    kind = {"layer": "LayerParameter", "solver": "SolverParameter", "net": "NetParameter"}[root]
    text = value_of(descriptor(message).fields_by_name[name])
    if way[:1] == ["layers"]:  # is read as a layer of today's
        return f'layers {{ name: "a" type: SILENCE {text} }}', name, schema().added["LayerParameter", name]
    for outer in reversed(way):
        text = f"{outer} {{ {text} }}"
    at, outermost, path = descriptor(kind), None, ""
    for one in [*way, name]:
        if outermost is None:
            outermost, path = schema().added.get((short(at), one)), f"{path}.{one}".strip(".")
        at = at.fields_by_name[one].message_type
    if root == "layer":
        text = f'layer {{ name: "a" type: "Silence" {text} }}'
    return text, path, outermost


@pytest.mark.parametrize("message", sorted({message for message, _ in added_fields()}))
def test_what_nobody_knows_is_refused_or_has_no_effect(message: str, caplog: pytest.LogCaptureFixture) -> None:
    """Set in a layer that knows none of them: silence, a warning or an error, as the field says."""
    for other, name in added_fields():
        if other != message:
            continue
        text, path, added = text_of(message, name)
        if text.startswith("layer"):
            known = known_to("Silence", "bicerin-structure", added)
        else:
            readers = {"bicerin", *whose(message, name)}
            known = any(code_of(one).reads(added.name) for one in readers)
        read = read_solver if paths()[message][:1] == ["solver"] else read_net
        caplog.clear()
        if known or added.without != "OTHER":
            read(text)
            assert bool(caplog.records) == (not known and added.without == "SIMILAR"), text
            continue
        with pytest.raises(IgnoredOptionError) as caught:
            read(text)
        assert f" {path} (of " in str(caught.value)
