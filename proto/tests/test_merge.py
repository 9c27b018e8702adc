"""Plugins' fields in Caffe's schema: what is one field, what is renumbered, what is a conflict."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import bicerin_proto
from bicerin_proto import (
    Fragment,
    ParseError,
    Schema,
    SchemaError,
    compile_proto,
    default_schema,
    read_net,
    upgrade_net,
)
from bicerin_proto.merge import merge
from bicerin_proto.schema import own_files

ROI = """
message ROIPoolingParameter { optional uint32 pooled_h = 1 [default = 7]; optional float spatial_scale = 3; }
message LayerParameter { optional ROIPoolingParameter roi_pooling_param = %s; }
"""
TILE_NUMBER = 138


def test_a_field_with_a_message_of_its_own(fragment):
    schema = Schema.merged([fragment("bicerin-rcnn", ROI % 8266711)])
    layer = read_net('layer { type: "ROIPooling" roi_pooling_param { spatial_scale: 0.5 } }', schema).message.layer[0]
    assert layer.roi_pooling_param.spatial_scale == 0.5
    assert layer.roi_pooling_param.pooled_h == 7
    assert layer.DESCRIPTOR.fields_by_name["roi_pooling_param"].number == 8266711
    assert schema.ROIPoolingParameter.DESCRIPTOR.full_name == "caffe.bicerin_rcnn.ROIPoolingParameter"
    assert "roi_pooling_param" not in default_schema().LayerParameter.DESCRIPTOR.fields_by_name


def test_a_plugin_uses_messages_of_caffe(fragment):
    body = """
    message MyParameter { repeated caffe.FillerParameter filler = 1; optional caffe.PoolingParameter.PoolMethod pool = 2
        [default = AVE]; }
    message LayerParameter { optional MyParameter my_param = 9000; }"""
    schema = Schema.merged([fragment("a", body)])
    layer = read_net('layer { my_param { filler { type: "xavier" } pool: STOCHASTIC } }', schema).message.layer[0]
    assert layer.my_param.filler[0].DESCRIPTOR is schema.FillerParameter.DESCRIPTOR
    assert layer.my_param.pool == schema.PoolingParameter.STOCHASTIC
    assert schema.MyParameter().pool == schema.PoolingParameter.AVE


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("TransformationParameter", "layer { transform_param { added: 3 } }"),
        ("V1LayerParameter", "layers { added: 3 }"),
        ("NetParameter", "added: 3 "),
        ("PoolingParameter", "layer { pooling_param { added: 3 } }"),
    ],
)
def test_fields_of_any_message(fragment, message, text):
    schema = Schema.merged([fragment("a", f"message {message} {{ optional int32 added = 100; }}")])
    net = read_net(text, schema, upgrade=False).message
    again = schema.NetParameter.FromString(net.SerializeToString())
    assert "added: 3" in str(again)


def test_enum_values_are_added_and_renumbered(fragment):
    a = fragment("a", "message EltwiseParameter { enum EltwiseOp { STOCHASTIC_SUM = 3; } }")
    b = fragment("b", "message EltwiseParameter { enum EltwiseOp { SORT = 3; SUM = 1; } }")
    schema = Schema.merged([a, b])
    operations = schema.EltwiseParameter.EltwiseOp
    assert operations.Value("STOCHASTIC_SUM") == 3
    assert operations.Value("SORT") not in (0, 1, 2, 3)
    assert operations.Value("SUM") == 1
    net = read_net("layer { eltwise_param { operation: SORT } }", schema).message
    assert net.layer[0].eltwise_param.operation == operations.Value("SORT")


def test_an_enum_value_that_has_no_room_is_reported(fragment):
    schema = Schema.merged([fragment("a", "message PoolingParameter { enum Engine { MAX = 3; } }")])
    assert [(c.message, c.name, c.winner) for c in schema.conflicts] == [
        ("PoolingParameter.Engine", "MAX", "bicerin-proto")
    ]
    assert schema.PoolingParameter.PoolMethod.Value("MAX") == 0
    with pytest.raises(ParseError, match='has no field named "poll"'):
        read_net("layer { pooling_param { poll: MAX } }", schema)


def test_a_field_that_is_installed_but_stands_elsewhere_is_not_to_be_installed(fragment):
    schema = Schema.merged([fragment("bicerin-rcnn", ROI % 150)])
    with pytest.raises(ParseError) as error:
        read_net("layers { roi_pooling_param { } }", schema)
    assert error.value.hint == "It is a field of LayerParameter."


def test_same_name_and_meaning_is_one_field_with_several_numbers(fragment):
    schema = Schema.merged([fragment("b", ROI % 150), fragment("a", ROI % "204 [(bicerin.also_known_as) = 143]")])
    added = schema.added["LayerParameter", "roi_pooling_param"]
    assert added.distributions == ("a", "b")
    assert added.number == 204
    assert added.numbers[:3] == (204, 150, 143)
    assert not schema.conflicts
    assert schema.ROIPoolingParameter is not None


def field(name: str, number: int) -> str:
    """A LayerParameter with one field, whose message has one field of the same name."""
    return (
        f"message {name.upper()} {{ optional int32 {name} = 1; }} "
        f"message LayerParameter {{ optional {name.upper()} {name} = {number}; }}"
    )


def test_same_number_other_name_parses_both_and_renumbers_the_later(fragment):
    a, b, c = fragment("a", field("a", 500)), fragment("b", field("b", 500)), fragment("c", field("c", TILE_NUMBER))
    schema = Schema.merged([a, b, c])
    layer = read_net("layer { a { a: 1 } b { b: 2 } c { c: 3 } tile_param { tiles: 4 } }", schema).message.layer[0]
    assert (layer.a.a, layer.b.b, layer.c.c, layer.tile_param.tiles) == (1, 2, 3, 4)
    numbers = {name: one.number for name, one in layer.DESCRIPTOR.fields_by_name.items()}
    assert (numbers["a"], numbers["tile_param"]) == (500, TILE_NUMBER)
    assert schema.added["LayerParameter", "b"].renumbered
    assert not schema.added["LayerParameter", "a"].renumbered
    alone = Schema.merged([c]).LayerParameter.DESCRIPTOR.fields_by_name["c"].number
    assert numbers["c"] == alone, "a number given inside does not depend on who else is installed"


@pytest.mark.parametrize("text", ["device_id: [3, 1, 2]", "device_id: 3 device_id: 1", "device_id: 3"])
def test_a_field_of_caffe_that_a_plugin_repeats_may_be_given_several_times(fragment, caplog, text):
    """The devices of yjxiong/caffe. Without the plugin, and for other fields, it is the error that it is in Caffe."""
    schema = Schema.merged([fragment("forks", "message SolverParameter { repeated int32 device_id = 18; }")])
    assert bicerin_proto.read_solver(text, schema).message.device_id == 3
    assert ('"device_id" is given several times' in caplog.text) == ("1" in text)
    with pytest.raises(ParseError, match=r"several|multiple|integer"):
        bicerin_proto.read_solver(text.replace("device_id", "max_iter") + " max_iter: 1", schema)


def test_the_order_in_which_plugins_are_found_does_not_matter(fragment):
    fragments = [
        fragment("a", field("a", 500)),
        fragment("b", field("b", 500)),
        fragment("c", field("a", 501)),
        fragment("d", "message LayerParameter { optional int32 b = 502; }"),
    ]
    outcomes = [merge(own_files(), order, {}) for order in itertools.permutations(fragments)]
    first = outcomes[0]
    assert len(first.conflicts) == 1
    for other in outcomes[1:]:
        assert other.files.SerializeToString() == first.files.SerializeToString()
        assert (other.added, other.conflicts, other.meanings) == (first.added, first.conflicts, first.meanings)


def test_same_name_other_type_is_an_error_only_when_used(fragment):
    a = fragment("bicerin-a", "message LayerParameter { optional int32 x_param = 500; optional int32 y = 501; }")
    b = fragment("bicerin-b", "message LayerParameter { optional float x_param = 600; }")
    schema = Schema.merged([a, b])
    assert read_net("layer { y: 1 }", schema).message.layer[0].y == 1
    with pytest.raises(ParseError, match=r'^<text>:2:3: "x_param" of LayerParameter means different things') as error:
        read_net("layer {\n  x_param: 1 }", schema)
    for part in ("bicerin-a: optional int32 x_param = 500", "bicerin-b: optional float x_param = 600", "providers="):
        assert part in str(error.value)


@pytest.mark.parametrize("key", ["x_param", "LayerParameter.x_param"])
@pytest.mark.parametrize(("choice", "value"), [("bicerin-a", 3), ("bicerin-b", 3.5)])
def test_a_provider_is_chosen(fragment, key, choice, value):
    a = fragment("bicerin-a", "message LayerParameter { optional int32 x_param = 500; }")
    b = fragment("bicerin-b", "message LayerParameter { optional float x_param = 600; }")
    schema = Schema.merged([a, b], {key: choice})
    assert read_net(f"layer {{ x_param: {value} }}", schema).message.layer[0].x_param == value


def test_caffe_wins_over_a_plugin_unless_it_is_chosen(fragment):
    body = """
    message Times { optional int32 times = 1; }
    message LayerParameter { optional Times tile_param = 138; }"""
    plugin = fragment("bicerin-a", body)
    schema = Schema.merged([plugin])
    assert read_net("layer { tile_param { tiles: 2 } }", schema).message.layer[0].tile_param.tiles == 2
    with pytest.raises(ParseError, match='bicerin-a has another "tile_param"') as error:
        read_net("layer { tile_param { times: 2 } }", schema)
    assert 'providers={"tile_param": "bicerin-a"}' in str(error.value)
    chosen = Schema.merged([plugin], {"tile_param": "bicerin-a"})
    assert read_net("layer { tile_param { times: 2 } }", chosen).message.layer[0].tile_param.times == 2


def test_two_plugins_own_messages_of_one_name(fragment):
    a = fragment("a", "message P { optional int32 x = 1; } message LayerParameter { optional P a_param = 500; }")
    b = fragment("b", "message P { optional string x = 1; } message LayerParameter { optional P b_param = 501; }")
    schema = Schema.merged([a, b])
    layer = read_net('layer { a_param { x: 1 } b_param { x: "one" } }', schema).message.layer[0]
    assert (layer.a_param.x, layer.b_param.x) == (1, "one")
    with pytest.raises(AttributeError, match=r'several plugins have a "P" \(caffe\.a\.P, caffe\.b\.P\); use plugin_'):
        schema.P  # noqa: B018
    assert schema.plugin_type("b", "P") is type(layer.b_param)


def test_of_messages_of_one_name_that_of_caffes_field_counts(fragment):
    """A name that both plugins bring, at the top and, through it, deeper."""
    used = """
    message Inner { optional int32 x = 1; enum Mode { ON = 1; } }
    message P { optional Inner inner = 1; }
    message LayerParameter { optional P p_param = 500; }"""
    apart = "message Inner { optional string x = 1; } message P { optional Inner inner = 7; }"
    through = "message Far { optional P p = 1; } message LayerParameter { optional Far far_param = 501; }"
    for other in (apart, apart + through):
        schema = Schema.merged([fragment("a", other), fragment("b", used)])
        layer = schema.LayerParameter()
        assert schema.P is type(layer.p_param)
        assert schema.Inner is type(layer.p_param.inner)
        assert schema.Inner.ON == 1
        assert schema.plugin_type("a", "P") is not schema.P
        theirs = schema.plugin_type("a", "P")(inner={"x": "text"})
        assert schema.own(theirs) == theirs, "a message is taken over as what it is, not as what its name means"


COLLECTION = """option (bicerin.gives_way) = true;
message P { optional int32 x = 1; optional int32 more = 2; }
message Kind { optional int32 x = 1; }
message LayerParameter { optional P p_param = 500; optional Kind other_param = 501; }
message TransformationParameter { optional P p_param = 600; }"""


def test_a_plugin_that_gives_way(fragment):
    """Its meaning of a field, and of a message's name, holds only where no other plugin has one."""
    collection = fragment("a", COLLECTION)
    plugin = fragment("b", "message P { optional string x = 1; } message LayerParameter { optional P p_param = 502; }")
    layer = Schema.merged([collection]).LayerParameter(p_param={"more": 3})
    assert layer.p_param.more == 3
    schema = Schema.merged([collection, plugin])
    layer = read_net('layer { p_param { x: "text" } other_param { x: 1 } }', schema).message.layer[0]
    assert (layer.p_param.x, layer.other_param.x) == ("text", 1)
    assert schema.P is type(layer.p_param)
    assert schema.plugin_type("a", "P") is type(schema.TransformationParameter().p_param)
    assert read_net("layer { p_param { more: 1 } }", schema).message.layer[0].p_param.more == 1
    chosen = Schema.merged([collection, plugin], {"LayerParameter.p_param": "a"})
    assert read_net("layer { p_param { more: 1 } }", chosen).message.layer[0].p_param.more == 1
    third = fragment("c", "message LayerParameter { optional int64 p_param = 503; }")
    with pytest.raises(ParseError, match="means different things"):
        read_net("layer { p_param: 1 }", Schema.merged([collection, plugin, third]))
    another = fragment("d", COLLECTION.replace("int32 x = 1", "float x = 1"))
    with pytest.raises(ParseError, match="means different things"):
        read_net("layer { p_param { } }", Schema.merged([collection, another]))


def test_messages_of_several_plugins_for_one_field_are_one_message(fragment):
    """What they share means the same; numbers that they use differently are read as the layer's owner has them."""
    inner = "message Inner {{ optional int32 {} = 1; }} message P {{ enum Mode {{ OFF = 0; {} = 1; }} {} }}"
    a_fields = "optional int32 x = 1; optional float only_a = 2; optional Inner inner = 3; optional Mode mode = 4;"
    b_fields = a_fields.replace("only_a", "only_b")
    layer = "message LayerParameter {{ optional P p_param = {}; }}"
    a = fragment("a", inner.format("s", "UP", a_fields) + layer.format(500))
    b = fragment("b", inner.format("t", "DOWN", b_fields) + layer.format(600))
    schema = Schema.merged([a, b])
    assert not schema.conflicts
    text = "layer { p_param { x: 1 only_a: 2 only_b: 3 inner { s: 4 t: 5 } mode: DOWN } }"
    param = read_net(text, schema).message.layer[0].p_param
    assert (param.x, param.only_a, param.only_b, param.inner.s, param.inner.t) == (1, 2, 3, 4, 5)
    assert param.mode == param.DOWN != param.UP
    assert schema.added["a.P", "only_b"].distributions == ("b",)
    assert ("a.P", "x") not in schema.added, "each of them has it"
    two = b"\x15\x00\x00\x80\x40"  # field 2 = 4.0f
    binary = b"".join(
        b"\xa2\x06\x0b\x12\x01" + kind + number + b"\x05" + two
        for kind, number in ((b"A", b"\xa2\x1f"), (b"B", b"\xc2\x25"))
    )
    first, second = read_net(binary, schema, owners={"A": "a", "B": "b"}).message.layer
    assert (first.p_param.only_a, second.p_param.only_b) == (4, 4)


def test_messages_that_disagree_are_a_conflict(fragment):
    layer = "message LayerParameter { optional P p_param = 500; }"
    a = fragment("a", "message P { optional float alpha = 1 [default = 1]; }" + layer)
    b = fragment("b", "message P { optional float alpha = 1 [default = 0.25]; }" + layer)
    with pytest.raises(ParseError, match='"p_param" of LayerParameter means different things'):
        read_net("layer { p_param { } }", Schema.merged([a, b]))
    chosen = Schema.merged([a, b], {"p_param": "b"})
    assert read_net("layer { p_param { } }", chosen).message.layer[0].p_param.alpha == 0.25


def test_nested_and_recursive_messages(fragment):
    body = """
    message Tree { message Leaf { enum Kind { GREEN = 0; RED = 1; } optional Kind kind = 1; } optional Leaf leaf = 1;
        repeated Tree child = 2; }
    message LayerParameter { message Inner { optional int32 i = 1; } enum Mode { OFF = 0; ON = 1; }
        optional Tree tree = 700; optional Inner inner = 701; optional Mode mode = 702; }"""
    text = "layer { tree { child { leaf { kind: RED } } } inner { i: 5 } mode: ON }"
    one = Schema.merged([fragment("a", body)])
    layer = read_net(text, one).message.layer[0]
    assert layer.tree.child[0].leaf.kind == 1
    assert (layer.inner.i, layer.mode) == (5, 1)
    both = Schema.merged([fragment("a", body), fragment("b", body)])
    assert both.conflicts == ()
    assert read_net(text, both).message.layer[0].tree.child[0].leaf.kind == 1


def test_a_whole_fork_as_a_fragment(tmp_path):
    caffe = (Path(bicerin_proto.__file__).parent / "caffe.proto").read_text()
    fork = caffe.replace("package caffe;", "package fork;").replace(
        "message LayerParameter {", "message LayerParameter {\n  optional FillerParameter fork_filler = 150;"
    )
    source = tmp_path / "fork.proto"
    source.write_text(fork)
    schema = Schema.merged([Fragment("a-fork", compile_proto(source))])
    assert schema.conflicts == ()
    assert list(schema.added) == [("LayerParameter", "fork_filler")]


def test_v1_types_of_a_plugin(fragment):
    body = """
    message V1LayerParameter {
        enum LayerType { CROP_TWICE = 40; ROIPOOLING = 46 [(bicerin.layer_type) = "ROIPooling"]; }
        optional int32 again = 500; }
    message LayerParameter { optional int32 again = 500; }"""
    schema = Schema.merged([fragment("a", body)])
    net = read_net("layers { type: CROP_TWICE } layers { type: ROIPOOLING again: 3 }", schema).message
    assert [layer.type for layer in net.layer] == ["CropTwice", "ROIPooling"]
    assert net.layer[1].again == 3
    assert upgrade_net(net) == []


def test_merging_is_cached_and_leaves_the_default_alone(fragment):
    a = fragment("a", "message LayerParameter { optional int32 x = 500; }")
    assert Schema.merged([a]) is Schema.merged([Fragment(a.distribution, a.descriptor)])
    assert Schema.merged([]) is default_schema()
    assert "x" not in default_schema().LayerParameter.DESCRIPTOR.fields_by_name


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("message M { map<string, int32> m = 1; }", "M has a map"),
        ("message LayerParameter { optional group G = 500 { optional int32 x = 1; } }", "LayerParameter.g is a group"),
    ],
)
def test_what_a_fragment_may_not_have(fragment, body, reason):
    with pytest.raises(SchemaError, match=f"bicerin-a: {reason}"):
        Schema.check(fragment("bicerin-a", body))


@pytest.mark.parametrize(
    ("descriptor", "reason"),
    [(b"", "not a compiled .proto"), (b"garbage", "not a compiled .proto"), (b"\x0a\x04\x62\x02xx", "xx")],
)
def test_a_broken_fragment_names_its_distribution(descriptor, reason):
    with pytest.raises(SchemaError, match=f"bicerin-a: .*{reason}"):
        Schema.check(Fragment("bicerin-a", descriptor))
