"""What messages quote: printable, and not too long."""

from __future__ import annotations

import pytest

from bicerin_proto import ParseError, ProtoError, printable, read_net, read_solver, read_weights

EVIL = "x\nI1129 solver.cpp:1] Done.\x1b]0;owned\x07\x1b[2J\u202e\u2028\xa0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv1/3x3", "conv1/3x3"),
        ("größe 卷积", "größe 卷积"),
        ("a\nb\r\t\0", r"a\nb\r\t\x00"),
        ("\x1b[2J\x07\x7f", r"\x1b[2J\x07\x7f"),
        ("\u202e\u2028\xa0\U000e0001", r"\u202e\u2028\xa0\U000e0001"),
        (b"caf\xe9".decode(errors="surrogateescape"), r"caf\xe9"),
        ("\ud800", r"\ud800"),
        (7, "7"),
    ],
)
def test_characters(text, expected):
    assert printable(text) == expected


def test_length():
    assert printable("b" * 300) == "b" * 300
    long = "start " + "b" * 10**6 + " end"
    assert printable(long, 30) == "start " + "b" * 14 + f"[... {10**6 + 10 - 30} characters ...]" + "b" * 6 + " end"
    assert len(printable("\x1b" * 10**6)) < 1300


NAMES = [EVIL, "b" * 10**6, "\x1b" * 10**5]
TEXTS = {
    "a field": "layer { %s: 1 }",
    "a string": 'layer { phase: "%s" }',
    "a layer's name": 'layer { name: "%s" type: "Nowhere" unknown_param { } }',
    "a layer's type": 'layer { name: "a" type: "%s" unknown_param { } }',
    "a type of today in a layer of old": 'layers { type: "%s" }',
    "a name in a list": 'layer { param: "%s" }',
    "a layer's name of old": 'layers { layer { name: "%s" type: "nothing" } }',
    "a layer's type of old": 'layers { layer { name: "a" type: "%s" } }',
    "padding": 'layers { layer { name: "%s" type: "padding" } bottom: "a" top: "b" } '
    'layers { layer { name: "%s" type: "%s" } bottom: "b" top: "c" }',
    "an input": 'input: "%s" input_dim: 1',
    "a number": "layer { loss_weight: 1%s }",
}


def escaped(name: str) -> str:
    return "".join(f"\\{ord(one):03o}" if ord(one) < 32 else one for one in name)


@pytest.mark.parametrize("name", NAMES, ids=["escapes", "long", "long escapes"])
@pytest.mark.parametrize("what", TEXTS)
def test_errors(what, name):
    text = TEXTS[what].replace("%s", escaped(name) if '"%s"' in TEXTS[what] else name)
    with pytest.raises(ProtoError) as error:
        read_net(text + "\n", owners={"ReLU": "bicerin-activation"})
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 6000


@pytest.mark.parametrize("name", NAMES, ids=["escapes", "long", "long escapes"])
def test_what_is_logged(name, caplog):
    caplog.set_level("INFO")
    name = escaped(name)
    read_net(f'layers {{ layer {{ name: "{name}" type: "relu" kernelsize: 3 }} }} input: "{name}"')
    read_net(f'layer {{ name: "{name}" data_param {{ scale: 2 }} }}')
    assert len(caplog.messages) == 2
    for message in caplog.messages:
        assert message.isprintable()
        assert len(message) < 4000


def test_paths(tmp_path):
    path = tmp_path / "a\x1b[2J\n.prototxt"
    for read in (read_net, read_solver, read_weights):
        with pytest.raises(ProtoError, match=r"a\\x1b\[2J\\n\.prototxt: no such file"):
            read(path)
        path.write_text("layer { nam: 1 }")
        with pytest.raises(ParseError) as error:
            read_net(path)
        assert str(error.value).startswith(str(tmp_path) + r"/a\x1b[2J\n.prototxt:1:9: ")
        assert error.value.path == path
        path.write_text(" ")
        assert read_net(path).name == str(tmp_path) + r"/a\x1b[2J\n.prototxt"
        path.unlink()
