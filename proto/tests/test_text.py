"""The text format: what parses to what, and what each error says."""

from __future__ import annotations

import inspect
import math
import sys

import pytest
from google.protobuf import text_format

from bicerin_proto import ParseError, default_schema, parse_text, read_net, read_solver
from bicerin_proto import text as parsing

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
    ("layer { phase: \"TEST\" }", 1, 16, 'Unknown enumeration value of "TEST" for', "Write it without quotes: TEST."),
    ("layer { phase: TESTS }", 1, 16, "Unknown enumeration value", 'Did you mean "TEST"? Valid: TRAIN, TEST.'),
    # What the older format has, in today's, and the other way round.
    ("layer { blobs_lr: 1 }", 1, 9, 'no field named "blobs_lr"', "In `layer` it is `param { lr_mult: }`"),
    ("layer { weight_decay: 1 }", 1, 9, 'no field named "weight_decay"', "In `layer` it is `param { decay_mult: }`"),
    ("layer { blob_share_mode: STRICT }", 1, 9, "no field", "In `layer` it is `param { share_mode: }`"),
    ("layer { param: 'w' }", 1, 16, 'Expected "{" after "param"', 'In `layer` it is `param { name: "w" }`'),
    ("layer { type: RELU }", 1, 15, "Expected a string", 'In `layer` it is "ReLU"'),
    ("layers { param { lr_mult: 1 } }", 1, 16, 'Expected ":", got: {.', "In `layers` it is `param: \"name\"`"),
    ("layers { type: 'ReLU' }", 1, 16, 'Unknown enumeration value of "ReLU"', "In `layers` it is RELU, without quotes"),
    ("layers { type: ReLU }", 1, 16, 'Unknown enumeration value of "ReLU"', "In `layers` it is RELU, without quotes"),
    ("layers { type: 'Input' }", 1, 16, 'Unknown enumeration value of "Input"', "`layers`, the older format, has no"),
    ("layers { type: 'RELU' }", 1, 16, 'Unknown enumeration value of "RELU"', "Write it without quotes: RELU."),
    # Characters that only look right.
    ("name: \u201cn\u201d\n", 1, 7, "Unexpected character '\u201c'.", 'Quotes are straight: "name".'),
    ("layer {\n\u00a0 name: 'n' }", 2, 1, r"Unexpected character '\xa0'.", "use an ordinary space"),
    ("// data\nname: 'n'", 1, 1, "Unexpected character '/'.", "A comment begins with #."),
    # Numbers of any length, and characters that have no place in a net.
    (f"input_dim: {'9' * 10000}\n", 1, 12, "Integer out of range", "It is from -2147483648"),
    (f"input_dim: 0x{'f' * 10000}\n", 1, 12, "Integer out of range", "It is from -2147483648"),
    (f"layer {{ loss_weight: 0x{'f' * 10000} }}", 1, 22, "Number out of range", ""),
    (f"layer {{ phase: {'9' * 10000} }}", 1, 16, "Unknown enumeration value", "Valid: TRAIN, TEST."),
    (f"input_dim: {'1' * 10000}x\n", 1, 12, "Not a number", ""),
    ("input_dim: \u0663\n", 1, 12, "Unexpected character", ""),
    ("name\ud800: 1\n", 1, 5, r"Unexpected character '\ud800'", ""),
    ("name\udce9: 1\n", 1, 5, "The byte 0xe9 is not UTF-8.", ""),
    ("name: '\ud800'\n", 1, 7, r"A string holds \ud800, which is not a character.", ""),
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


@pytest.mark.parametrize(("error", "what"), [(MemoryError, "memory"), (RecursionError, "stack")])
def test_memory_and_stack_have_an_end(monkeypatch, error, what):
    def end(*_):
        raise error

    monkeypatch.setattr(parsing, "is_repeated", end)
    with pytest.raises(ParseError, match=f"^net:2:7: Parsing this needs more {what} than is available.$"):
        parse_text("\nlayer { }", default_schema().NetParameter(), default_schema(), path="net")
    monkeypatch.setattr(parsing, "Tokens", end)
    with pytest.raises(ParseError, match=f"^net: Parsing this needs more {what} than is available.$"):
        parse_text("layer { }", default_schema().NetParameter(), default_schema(), path="net")


def test_a_shallow_stack():
    def at_depth(depth):
        if depth:
            return at_depth(depth - 1)
        return parse_text("a { " * 90 + "}" * 90, default_schema().NetParameter(), default_schema(), **skipping)

    skipping = {"skip_unknown": True}
    at_depth(0)
    with pytest.raises(ParseError, match=r"^<text>:1:\d+: Parsing this needs more stack than is available."):
        at_depth(sys.getrecursionlimit() - len(inspect.stack()) - 60)


def test_tokens_of_any_length_are_read_in_one_pass():
    """Each of these took a search that grew with the square of its length, or kept all of it on a stack."""
    name, number = "a\\n" * 10**6, "0" * 10**6
    solver = read_solver(f'net: "{name}" {"# comment" * 10**5}\n{" " * 10**6}base_lr: {number}.{number}e0').message
    assert solver.net == name.replace("\\n", "\n")
    for bad in (f'net: "{name}', f"base_lr: {number}x"):
        with pytest.raises(ParseError, match=r"String is not closed|Not a number"):
            read_solver(bad + "\n")


OF_NOBODY = 'layer "al" has the type "Nowhere", which no installed plugin brings. '


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('roi_align_param { } type: "Nowhere"', OF_NOBODY + 'Message type "caffe.LayerParameter" has no field'),
        ('type: "Nowhere" pooling_param { poll: MAX }', OF_NOBODY + 'Message type "caffe.PoolingParameter" has no'),
        ('type: "Nowhere" pooling_param { pool: MUX }', OF_NOBODY + 'Unknown enumeration value of "MUX"'),
        ('type: "Nowhere" loss_wait: 1', OF_NOBODY + 'Message type "caffe.LayerParameter" has no field'),
        (
            'a: 1 type: "Rellu"',
            'has the type "Rellu", which no .* brings. Did you mean "ReLU"? Message .* field named "a".$',
        ),
        ('a: 1 type: "PriorBox"', 'has the type "PriorBox", .* "a". It comes with bicerin-ssd: pip install'),
        ('reorg_param { } type: "Reorg"', 'has the type "Reorg", .* "reorg_param". It comes with bicerin-yolo'),
        ('type: "ReLU" relu_parm { }', '^<text>:1:33: Message .* "relu_parm". Did you mean "relu_param"?'),
        ("relu_parm { }", '^<text>:1:20: Message .* "relu_parm". Did you mean "relu_param"?'),
    ],
)
def test_a_layer_of_a_type_that_nobody_brings(inside, message):
    """What is in it is not to be blamed first."""
    text = f'layer {{ name: "al" {inside} }}\n'
    with pytest.raises(ParseError, match=message.replace("?", r"\?")):
        read_net(text, owners={"ReLU": "bicerin-activation"})
    if "Nowhere" in message:
        with pytest.raises(ParseError) as error:
            read_net(text)
        assert "Nowhere" not in str(error.value), "without a word about what is installed, nobody can know"


def test_unknown_fields_can_be_left_out():
    net = default_schema().NetParameter()
    text = "layer { name: 'a' x: 1 y: -inf z { a: 'b' 'c' d <e: [1, 2]> } w: [{ a: 1 }, {}] } name: 'n'"
    parse_text(text, net, default_schema(), skip_unknown=True)
    assert net == text_format.Parse("layer { name: 'a' } name: 'n'", default_schema().NetParameter())


def test_places_of_layers():
    document = read_net("name: 'n'\n\nlayer { name: 'a' }\n  layer {\n name: 'b' }")
    assert [document.line(index) for index in (0, 1)] == [3, 4]
    assert document.location(1) == "<text>:4"
