"""NetSpec: layers called as functions, tops named by assignment, and the `NetParameter` that they amount to.

Source: pycaffe's `net_spec`, whose names and rules are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from bicerin.errors import SpecError
from bicerin.layer.layer import layers as layers_brought
from bicerin.schema.installed_schema import schema
from bicerin_proto.cardinality import is_repeated
from bicerin_proto.hints import did_you_mean


def param_name_dict() -> dict[str, str]:
    """From a layer type to its field in LayerParameter without `_param`: {"InnerProduct": "inner_product", ...}.

    A type has a field if a message is named after it, as `InnerProductParameter` is.
    """
    return dict(_param_names(schema().LayerParameter.DESCRIPTOR))


@lru_cache(maxsize=4)
def _param_names(layer: Any) -> Mapping[str, str]:
    return {
        field.message_type.name.removesuffix("Parameter"): field.name.removesuffix("_param")
        for field in layer.fields
        if field.name.endswith("_param") and field.message_type is not None
    }


def assign_proto(proto: Any, name: str, value: Any) -> None:
    """Set a field from Python values: a dict or a message fills a message, a sequence a repeated field.

    A repeated field takes a single value as a list of one, and arrays and ranges as lists.

    Raises:
        SpecError: the message has no such field, or the field cannot hold the value.
    """
    field = proto.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        hint = did_you_mean(name, proto.DESCRIPTOR.fields_by_name)
        raise SpecError(f'{proto.DESCRIPTOR.name} has no field "{name}". {hint}'.strip())
    if not is_repeated(field):
        _set(field, lambda: getattr(proto, name), lambda one: setattr(proto, name, one), value)
        return
    values = getattr(proto, name)
    for one in _listed(value):
        _set(field, lambda: values.add(), values.append, one)  # looked up when called: only lists of messages have it


def _listed(value: Any) -> Iterable[Any]:
    if isinstance(value, (str, bytes, Mapping, Message)) or getattr(value, "ndim", 1) == 0:
        return [value]
    return value if isinstance(value, Iterable) else [value]


def _set(field: FieldDescriptor, message: Callable[[], Any], assign: Callable[[Any], None], value: Any) -> None:
    """Set one value: fill what `message` returns, or hand the value to `assign`."""
    try:
        if field.message_type is None:
            assign(value)
        elif isinstance(value, Mapping):
            own = message()
            own.SetInParent()
            for name, inner in value.items():
                assign_proto(own, name, inner)
        elif isinstance(value, Message) and value.DESCRIPTOR.full_name == field.message_type.full_name:
            # Through bytes, since it may be a message of another schema, with other fields of plugins.
            message().MergeFromString(value.SerializePartialToString())
        else:
            raise TypeError
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError(f"{field.name} takes {_kind(field)}, not {_shown(value)}.{_why(field, value)}") from None


def _kind(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return f"a dict, or a {field.message_type.name}"
    if field.enum_type is not None:
        return f"one of {', '.join(field.enum_type.values_by_name)}"
    return _KINDS.get(field.cpp_type, "another value")


#: What a field of a type holds, in words.
_KINDS = {
    FieldDescriptor.CPPTYPE_INT32: "a whole number",
    FieldDescriptor.CPPTYPE_INT64: "a whole number",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number of 0 or more",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number of 0 or more",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_BOOL: "True or False",
    FieldDescriptor.CPPTYPE_STRING: "text",
}


def _shown(value: Any) -> str:
    if isinstance(value, Message):
        return f"a {value.DESCRIPTOR.name}"
    text = repr(value)
    return f"{text if len(text) <= _LONGEST else text[:_LONGEST] + ' ...'} ({type(value).__name__})"


#: A longer value is cut in errors.
_LONGEST = 60


def _why(field: FieldDescriptor, value: Any) -> str:
    if isinstance(value, float) and "whole" in _kind(field):
        return " In Python 3, / gives a float and // a whole number."
    if isinstance(value, Mapping) and field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return " str(...) or json.dumps(...) makes text of it."
    return ""


class Top:
    """One output of a `Function`: what `layers.X(...)` returns, and what other layers take."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> Any:
        """The net that ends in this top."""
        return to_proto(self)

    def _to_proto(self, layers: dict[Function, Any], names: dict[Any, str], autonames: Counter[str]) -> None:
        self.fn._to_proto(layers, names, autonames)


class Function:
    """A layer: its type, the tops that it reads, and its parameters.

    Args:
        type_name: the layer type.
        inputs: the tops that it reads.
        params: its parameters. `ntop` is its number of tops, 1 by default; `in_place` lets it write on its bottoms.

    Raises:
        TypeError: an input is not a top.
    """

    def __init__(self, type_name: str, inputs: Iterable[Top], params: Mapping[str, Any]) -> None:
        self.type_name = type_name
        self.inputs = tuple(inputs)
        for index, given in enumerate(self.inputs):
            if not isinstance(given, Top):
                raise TypeError(f"{type_name} input {index} is not a Top (type is {type(given)})")
        self.params = dict(params)
        self.ntop: int = self.params.pop("ntop", 1)
        self.in_place: bool = self.params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _name(self, names: dict[Any, str], autonames: Counter[str]) -> str:
        """A layer is named after its first top, or by itself where it has none."""
        return self._named(self.tops[0] if self.tops else self, names, autonames)

    def _named(self, what: Top | Function, names: dict[Any, str], autonames: Counter[str]) -> str:
        if what not in names:
            autonames[self.type_name] += 1
            names[what] = f"{self.type_name}{autonames[self.type_name]}"
        return names[what]

    def _to_proto(self, layers: dict[Function, Any], names: dict[Any, str], autonames: Counter[str]) -> None:
        if self in layers:
            return
        bottoms = []
        for top in self.inputs:
            top._to_proto(layers, names, autonames)
            bottoms.append(layers[top.fn].top[top.n])
        layer = schema().LayerParameter(type=self.type_name, bottom=bottoms)
        tops = bottoms if self.in_place else [self._named(top, names, autonames) for top in self.tops]
        layer.top.extend(tops)
        layer.name = self._name(names, autonames)
        for name, value in self.params.items():
            self._assign(layer, name, value)
        layers[self] = layer

    def _assign(self, layer: Any, name: str, value: Any) -> None:
        """Set a field of the layer's own parameters, or else of the layer. `x_param`s and `param` are the layer's."""
        field = _param_names(layer.DESCRIPTOR).get(self.type_name)
        own = getattr(layer, f"{field}_param") if field is not None and not name.endswith("param") else None
        messages = [message for message in (own, layer) if message is not None]
        for message in messages:
            if name in message.DESCRIPTOR.fields_by_name:
                try:
                    return assign_proto(message, name, value)
                except SpecError as error:
                    inside = "" if str(error).startswith(name) else f"{name}: "
                    raise SpecError(f'layer "{layer.name}" ({self.type_name}): {inside}{error}') from None
        known = [field for message in messages for field in message.DESCRIPTOR.fields_by_name]
        problem = f'layer "{layer.name}" ({self.type_name}): there is no parameter "{name}".'
        if self.type_name in layers_brought:
            raise SpecError(f"{problem} {did_you_mean(name, known)}".strip())
        hint = did_you_mean(self.type_name, layers_brought.providers())
        raise SpecError(f"{problem} No installed plugin brings the layer type. {hint}".strip())


def to_proto(*tops: Top | Function) -> Any:
    """The `NetParameter` of all layers that are needed for these tops, with names made up from their types."""
    return _net(tops, {})


def _net(tops: Iterable[Top | Function], names: dict[Any, str]) -> Any:
    layers: dict[Function, Any] = {}
    autonames: Counter[str] = Counter()
    for top in tops:
        top._to_proto(layers, names, autonames)
    return schema().NetParameter(layer=layers.values())


class NetSpec:
    """A net whose tops are named by assignment, as attributes or items; a layer takes the name of its first top.

    Attributes:
        tops: the tops by name, in the order of assignment.
    """

    tops: dict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", {})

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # so that copy and pickle ask in vain, and not for tops that are not there yet
            raise AttributeError(name)
        try:
            return self.tops[name]
        except KeyError:
            raise SpecError(f'the net has no top "{name}". {did_you_mean(name, self.tops)}'.strip()) from None

    def __delattr__(self, name: str) -> None:
        del self.tops[name]

    __setitem__ = __setattr__

    def __getitem__(self, name: str) -> Any:
        return self.tops[name]

    def __delitem__(self, name: str) -> None:
        del self.tops[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tops

    def __iter__(self) -> Iterator[str]:
        return iter(self.tops)

    def __len__(self) -> int:
        return len(self.tops)

    def __bool__(self) -> bool:  # a net without tops is still a net
        return True

    def keys(self) -> list[str]:
        """The names of the tops, in the order of assignment. A top that is itself named "keys" is `n["keys"]`."""
        return list(self.tops)

    def vals(self) -> list[Any]:
        """The tops, in the order of assignment."""
        return list(self.tops.values())

    def update(self, name: str, params: Mapping[str, Any]) -> None:
        """Add to, or change, the parameters of the layer that makes the top `name`."""
        top = self.tops[name]
        (top if isinstance(top, Function) else top.fn).params.update(params)

    def to_proto(self) -> Any:
        """The `NetParameter` of all layers that are needed for the named tops.

        Raises:
            SpecError: a layer is given a parameter that it does not have.
        """
        return _net(self.tops.values(), {top: name for name, top in self.tops.items()})


class Layers:
    """`layers.X(*bottoms, **params)` is a layer of type X: its top, its tops if there are several, itself if none."""

    def __getattr__(self, name: str) -> Any:
        def layer(*args: Top, **kwargs: Any) -> Any:
            fn = Function(name, args, kwargs)
            if fn.ntop == 0:
                return fn
            return fn.tops[0] if fn.ntop == 1 else fn.tops

        return layer


class Parameters:
    """`params.X.Y` is what `XParameter.Y` is in the schema, such as the value of an enum: `params.Pooling.MAX`."""

    def __getattr__(self, name: str) -> Any:
        return _Enums(name)


class _Enums:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(schema(), f"{self._name}Parameter"), name)


layers = Layers()
params = Parameters()
