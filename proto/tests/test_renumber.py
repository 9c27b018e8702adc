"""Binary nets of forks that used one number for different things."""

from __future__ import annotations

import pytest

from bicerin_proto import DecodeError, Schema, read_net, write_binary
from bicerin_proto.wire import LENGTH, tag

A = """
message AParameter { optional int32 x = 1; }
message LayerParameter {
    optional AParameter a_param = 138 [(bicerin.also_known_as) = 154, (bicerin.also_known_as) = 8266711];
}
message TransformationParameter { optional int32 a_size = 8; }
message EltwiseParameter { enum EltwiseOp { A_SUM = 3; } }
"""
B = """
message BParameter { optional int32 y = 1; }
message LayerParameter { optional BParameter b_param = 138; }
message TransformationParameter { optional float b_size = 8; }
message EltwiseParameter { enum EltwiseOp { B_SORT = 3; } }
"""
OWNERS = {"A": "bicerin-a", "B": "bicerin-b"}


@pytest.fixture
def a(fragment):
    return fragment("bicerin-a", A)


@pytest.fixture
def b(fragment):
    return fragment("bicerin-b", B)


def net(*layers: bytes) -> bytes:
    return b"".join(b"\xa2\x06" + bytes([len(layer)]) + layer for layer in layers)


def layer(type_name: str, *fields: bytes) -> bytes:
    return b"\x12" + bytes([len(type_name)]) + type_name.encode() + b"".join(fields)


N138 = tag(138, LENGTH)
FIVE = b"\x02\x08\x05"  # two bytes: field 1 = 5


def test_a_number_means_what_the_owner_of_the_layer_says(a, b):
    schema = Schema.merged([a, b])
    data = net(layer("A", N138 + FIVE), layer("B", N138 + FIVE), layer("Tile", N138 + FIVE), layer("X", N138 + FIVE))
    read = read_net(data, schema, owners=OWNERS).message
    assert read.layer[0].a_param.x == 5
    assert read.layer[1].b_param.y == 5
    assert read.layer[2].tile_param.axis == 5
    assert read.layer[3].tile_param.axis == 5, "without an owner, Caffe's meaning holds"
    assert [len(one.ListFields()) for one in read.layer] == [2, 2, 2, 2]


@pytest.mark.parametrize("number", [138, 154, 8266711])
def test_every_number_of_a_field_is_understood(a, number):
    read = read_net(net(layer("A", tag(number, LENGTH) + FIVE)), Schema.merged([a]), owners=OWNERS).message
    assert read.layer[0].a_param.x == 5


def test_nested_messages_and_enum_values_follow_the_owner(a, b):
    schema = Schema.merged([a, b])
    transform = b"\xa2\x06\x02\x40\x07"  # transform_param { field 8 = 7 }
    transform_float = b"\xa2\x06\x05\x45\x00\x00\xe0\x40"  # transform_param { field 8 = 7.0f }
    eltwise = b"\xf2\x06\x02\x08\x03"  # eltwise_param { operation = 3 }
    data = net(layer("A", transform, eltwise), layer("B", transform_float, eltwise), layer("X", transform_float))
    first, second, third = read_net(data, schema, owners=OWNERS).message.layer
    assert first.transform_param.a_size == 7
    assert second.transform_param.b_size == 7
    assert third.transform_param.b_size == 7, "the wire type tells them apart without an owner"
    assert "operation: A_SUM" in str(first)
    assert "operation: B_SORT" in str(second)


@pytest.mark.parametrize("installed", [("a",), ("b",), ("a", "b")])
def test_what_is_written_is_read_again_whatever_is_installed(tmp_path, a, b, installed):
    both = {"a": a, "b": b}
    schema = Schema.merged([a, b])
    text = """layer { type: "A" a_param { x: 5 } }
        layer { type: "B" b_param { y: 6 } }
        layer { type: "Tile" tile_param { tiles: 7 } }"""
    path = tmp_path / "net.caffemodel"
    write_binary(read_net(text, schema).message, path)
    read = read_net(path, Schema.merged([both[name] for name in installed]), owners=OWNERS).message
    if "a" in installed:
        assert read.layer[0].a_param.x == 5
    if "b" in installed:
        assert read.layer[1].b_param.y == 6
    assert read.layer[2].tile_param.tiles == 7


def test_a_conflict_is_an_error_in_binary_too(fragment):
    one = fragment("bicerin-a", "message LayerParameter { optional int32 x_param = 500; }")
    other = fragment("bicerin-b", "message LayerParameter { optional int64 x_param = 500; }")
    schema = Schema.merged([one, other])
    data = net(layer("A", b"\xa0\x1f\x05"))
    with pytest.raises(DecodeError, match=r"<bytes>: field 500 of a LayerParameter: .*bicerin-a.*bicerin-b"):
        read_net(data, schema, owners=OWNERS)
    assert read_net(net(layer("A")), schema).message.layer[0].type == "A"
    assert read_net(data, Schema.merged([one, other], {"x_param": "bicerin-b"})).message.layer[0].x_param == 5


def test_v1_layers_follow_the_owner_of_their_type(fragment):
    body = """message V1LayerParameter { enum LayerType { MINE = 4000; } optional int32 mine = 9; }
    message LayerParameter { optional int32 mine = 500; }"""
    schema = Schema.merged([fragment("bicerin-a", body)])
    mine = b"\x28\xa0\x1f" + b"\x48\x05"  # type = 4000, field 9 = 5; Caffe's field 9 is concat_param, a message
    data = b"\x12" + bytes([len(mine)]) + mine
    assert read_net(data, schema, owners={"Mine": "bicerin-a"}).message.layer[0].mine == 5


def test_truncated_binary_with_a_merged_schema(a):
    data = net(layer("A", N138 + FIVE))
    with pytest.raises(DecodeError, match=r"<bytes>: not a binary NetParameter .*truncated"):
        read_net(data[:-1], Schema.merged([a]))


FILMS = """
message FilmParameter {
  optional string source = 1;
  optional uint32 length = 101 [(bicerin.fork) = {name: "one" number: 11}, (bicerin.fork) = {name: "two" number: 13}];
  optional uint32 width = 102 [(bicerin.fork) = {name: "one" number: 10}, (bicerin.fork) = {name: "two" number: 11}];
  optional float rate = 103 [(bicerin.fork) = {name: "two" number: 10}];
}
message LayerParameter {
  optional FilmParameter film_param = 5140 [
    (bicerin.fork) = {name: "one" number: 140}, (bicerin.fork) = {name: "two" number: 6660},
    (bicerin.also_known_as) = 7000
  ];
}
message EltwiseParameter {
  enum EltwiseOp {
    SORTED = 5003 [(bicerin.value_fork) = {name: "one" number: 3}];
    RANDOM = 5004 [(bicerin.value_fork) = {name: "two" number: 3}];
  }
}
"""
FILM_OWNERS = {"Film": "bicerin-film"}
ELEVEN = b"\x58\x05"  # field 11 = 5
ELTWISE_3 = b"\xf2\x06\x02\x08\x03"  # eltwise_param { operation = 3 }


@pytest.fixture
def films(fragment):
    return Schema.merged([fragment("bicerin-film", FILMS)])


def film(number: int, *fields: bytes) -> bytes:
    inner = b"".join(fields)
    return layer("Film", tag(number, LENGTH), bytes([len(inner)]), inner)


def read_films(schema, *layers, fork=None):
    return read_net(net(*layers), schema, owners=FILM_OWNERS, fork=fork).message.layer


def test_a_field_found_under_a_forks_number_is_read_with_its_numbers_inside(films):
    assert films.forks == {"one", "two"}
    (one,) = read_films(films, film(140, ELEVEN))
    assert one.film_param.length == 5
    (two,) = read_films(films, film(6660, ELEVEN))
    assert two.film_param.width == 5


def test_the_kinds_of_values_in_a_message_tell_its_fork(films):
    ten_as_float = b"\x55\x00\x00\x80\x40"  # field 10 = 4.0f
    (read,) = read_films(films, film(7000, ten_as_float, ELEVEN))
    assert (read.film_param.rate, read.film_param.width) == (4, 5)
    (read,) = read_films(films, film(7000, b"\x50\x06", ELEVEN))  # field 10 = 6
    assert (read.film_param.width, read.film_param.length) == (6, 5)


def test_one_layer_tells_the_fork_of_the_whole_file(films):
    eltwise = layer("Eltwise", ELTWISE_3)
    first, second = read_films(films, eltwise, film(6660, ELEVEN))
    assert "RANDOM" in str(first)
    assert second.film_param.width == 5
    assert "SORTED" in str(read_films(films, film(140, ELEVEN), eltwise)[1])


def test_numbers_that_only_a_name_can_tell_apart(films):
    with pytest.raises(
        DecodeError,
        match=r'field 11 of a FilmParameter .*"length" in files of one; "width" in files of two.*--schema one',
    ):
        read_films(films, film(7000, ELEVEN))
    assert read_films(films, film(7000, ELEVEN), fork="one")[0].film_param.length == 5
    assert read_films(films, film(7000, ELEVEN), fork="two")[0].film_param.width == 5
    with pytest.raises(DecodeError, match='the value 3 of operation means different things: "SORTED"'):
        read_films(films, layer("Eltwise", ELTWISE_3))


def test_a_file_with_the_numbers_of_several_forks_is_read_layer_by_layer(films):
    one, two = read_films(films, film(140, ELEVEN), film(6660, ELEVEN))
    assert (one.film_param.length, two.film_param.width) == (5, 5)


def test_in_a_message_of_all_layers_a_forks_number_needs_evidence(fragment):
    """The owner of the layer says what its number 11 is in the files of one fork; another, what it is in any."""
    one = 'message TransformationParameter { optional uint32 a = 5011 [(bicerin.fork) = {name: "one" number: 11}]; '
    one += 'optional uint32 only = 5012 [(bicerin.fork) = {name: "one" number: 12}]; }'
    other = "message TransformationParameter { optional uint32 b = 11; }"
    schema = Schema.merged([fragment("bicerin-a", one), fragment("bicerin-b", other)])

    def read(*fields, fork=None):
        inner = b"".join(fields)
        data = net(layer("A", b"\xa2\x06" + bytes([len(inner)]) + inner))
        return read_net(data, schema, owners=OWNERS, fork=fork).message.layer[0].transform_param

    assert read(ELEVEN).b == 5
    assert read(ELEVEN, b"\x60\x07").a == 5, "its number 12 is that fork's alone"
    assert read(ELEVEN, fork="one").a == 5


def test_what_is_written_with_numbers_of_forks_is_read_again(films, tmp_path):
    text = 'layer { type: "Film" film_param { source: "a" length: 5 width: 6 rate: 7 } }'
    write_binary(read_net(text, films).message, tmp_path / "net.caffemodel")
    (read,) = read_net(tmp_path / "net.caffemodel", films, owners=FILM_OWNERS).message.layer
    assert (read.film_param.source, read.film_param.length) == ("a", 5)
    assert (read.film_param.width, read.film_param.rate) == (6, 7)
