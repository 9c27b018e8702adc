"""The text format: what parses to what, and what each error says."""

from __future__ import annotations

import math

import pytest
from google.protobuf import text_format

from bicerin_proto import ParseError, default_schema, parse_text, read_net
from bicerin_proto.document import read_solver

GOOD = [
    ("Net", 'name: "a"', 'name: "a"'),
    ("Net", "name: 'a' \"b\"\n'c'", 'name: "abc"'),
    ("Net", r"""name: "tab\t nl\n q\" \x41\101 \u00e9" """, 'name: "tab\\t nl\\n q\\" AA \\303\\251"'),
    ("Net", "# only a comment", ""),
    ("Net", "layer { } layer <> layer: { }", "layer {} layer {} layer {}"),
    ("Net", "layer [{name: 'a'}, {name: 'b'}]", "layer { name: 'a' } layer { name: 'b' }"),
    ("Net", "layer { loss_weight: [1, 2.5, -3], bottom: [] ; }",
     "layer { loss_weight: 1 loss_weight: 2.5 loss_weight: -3 }"),
    ("Net", "input_dim: 0x10 input_dim: 010 input_dim: -7", "input_dim: 16 input_dim: 8 input_dim: -7"),
    ("Net", "force_backward: True debug_info: 0", "force_backward: true debug_info: false"),
    ("Net", "layer { phase: TEST } layer { phase: 0 }", "layer { phase: TEST } layer { phase: TRAIN }"),
    ("Solver", "base_lr: 1e-3 momentum: .9f gamma: 5 power: -1.", "base_lr: 0.001 momentum: 0.9 gamma: 5 power: -1"),
    ("Solver", "random_seed: -9223372036854775808", "random_seed: -9223372036854775808"),
    ("Layer", "clip_param { min: -1 max: 1 }", "clip_param { min: -1 max: 1 }"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "same"), GOOD)
def test_parses_as_protobuf_does(kind, text, same):
    cls = getattr(default_schema(), f"{kind}Parameter")
    message = cls()
    parse_text(text, message, default_schema())
    assert message == text_format.Parse(same, cls())
    assert message == text_format.Parse(text, cls())


def test_infinities_and_nan():
    solver = read_solver("base_lr: inf\nmomentum: -Infinity gamma: nan").message
    assert (solver.base_lr, solver.momentum) == (math.inf, -math.inf)
    assert math.isnan(solver.gamma)


BAD = [
    ("layer { nam: 'a' }", 1, 9, 'Message type "caffe.LayerParameter" has no field named "nam".',
     'Did you mean "name"?'),
    ("\nlayer {\n  roi_pooling_param { } }", 3, 3, 'has no field named "roi_pooling_param"',
     "pip install bicerin-rcnn"),
    ("\nlayer { num_output: 3 }", 2, 9, 'no field named "num_output"', "It belongs inside"),
    ("base_lr: 3\n", 1, 1, 'no field named "base_lr"', "It is a field of SolverParameter."),
    ("layer { pooling_param { pool: AVG } }", 1, 31, 'Unknown enumeration value of "AVG" for field "pool".',
     "Valid: MAX, AVE, STOCHASTIC."),
    ("layer { phase: \"TEST\" }", 1, 16, "Unknown enumeration value", 'Did you mean "TEST"? Valid: TRAIN, TEST.'),
    ("layer { phase: 2 }", 1, 16, "Unknown enumeration value", "Valid: TRAIN, TEST."),
    ("name: 'a'\nname: 'b'", 2, 1, 'Non-repeated field "name" is specified multiple times.', ""),
    ("layer { pooling_param { } pooling_param { } }", 1, 27, "specified multiple times", ""),
    ("layer {\n  name: \"conv1\n}", 2, 9, "String is not closed on its line.", ""),
    ("layer {\n  type: ReLU\n}", 2, 9, 'Expected a string for "type", got: ReLU.', 'Put it in quotes: "ReLU".'),
    ("layer {\n name: 'a'", 1, 7, 'This "{" is never closed.', ""),
    ("layer { name: 'a' } }", 1, 21, "Expected the name of a field, got: }.", ""),
    ("layer { name 'a' }", 1, 14, "Expected \":\", got: 'a'.", ""),
    ("layer 3\n", 1, 7, 'Expected "{" after "layer", got: 3.', ""),
    ("layer { name: }", 1, 15, 'Expected a string for "name", got: }.', ""),
    ("input_dim: 1.5\nname: 'a'", 1, 12, 'Expected an integer for "input_dim", got: 1.5.', ""),
    ("input_dim: 3000000000\n", 1, 12, "Integer out of range", "It is from -2147483648 to 2147483647."),
    ("layer { pooling_param { pad: -1 } }", 1, 31, "Integer out of range", "It is from 0 to"),
    ("input_dim: 09\n", 1, 12, "Not an octal number", ""),
    ("input_dim: 12abc\n", 1, 12, 'Not a number: "12abc".', ""),
    ("force_backward: yes\n", 1, 17, "Expected true or false", ""),
    ("layer { loss_weight: one }", 1, 22, 'Expected a number for "loss_weight", got: one.', ""),
    ("layer { loss_weight: [1 2] }", 1, 25, 'Expected "]", got: 2.', ""),
    ("name: 'a' $", 1, 11, "Unexpected character '$'.", ""),
    ("name: '\\q'\n", 1, 7, "Unknown escape sequence \\q", ""),
    ("name: '\\xff'\n", 1, 7, "is not UTF-8", ""),
    ("layer { clip_param { min: 1 } }", 1, 20, 'Message type "caffe.ClipParameter" needs "max".', ""),
    ("[caffe.ext]: 3\n", 1, 1, "Expected the name of a field, got: [.", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "reason", "hint"), BAD)
def test_an_error_says_where_what_and_what_would_be_right(text, line, column, reason, hint):
    with pytest.raises(ParseError) as error:
        parse_text(text, default_schema().NetParameter(), default_schema(), path="nets/a.prototxt")
    assert (error.value.line, error.value.column) == (line, column)
    assert str(error.value).startswith(f"nets/a.prototxt:{line}:{column}: ")
    assert reason in str(error.value)
    assert hint in error.value.hint


def test_nesting_has_an_end():
    deep = "train_net_param { layer { " * 1 + "x" + "{ y" * 5000
    with pytest.raises(ParseError):
        read_solver(deep)
    with pytest.raises(ParseError, match="nested more than 100 deep"):
        parse_text("a " + "{ a " * 200, default_schema().NetParameter(), default_schema(), skip_unknown=True)


def test_unknown_fields_can_be_left_out():
    net = default_schema().NetParameter()
    text = "layer { name: 'a' x: 1 y: -inf z { a: 'b' 'c' d <e: [1, 2]> } w: [{ a: 1 }, {}] } name: 'n'"
    parse_text(text, net, default_schema(), skip_unknown=True)
    assert net == text_format.Parse("layer { name: 'a' } name: 'n'", default_schema().NetParameter())


def test_places_of_layers():
    document = read_net("name: 'n'\n\nlayer { name: 'a' }\n  layer {\n name: 'b' }")
    assert [document.line(index) for index in (0, 1)] == [3, 4]
    assert document.location(1) == "<text>:4"
