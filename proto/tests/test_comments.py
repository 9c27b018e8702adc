"""Comments of fields, read from the source of a .proto."""

from __future__ import annotations

from pathlib import Path

import bicerin_proto
from bicerin_proto.comments import field_comments

TEXT = """
// Of the file.
syntax = "proto2";

// Of the message.
message Outer {
  // Two lines
  // above.
  optional uint32 first = 1 [default = 3];
  optional float second = 2;  // Behind it.

  // A heading.

  repeated Inner third = 3 [(bicerin.without) = SAME];
  // Of an enum.
  enum Kind {
    ONE = 1;  // Of a value.
  }
  message Inner { optional string name = 1; }  // Behind a message.
  message Empty {}
  // A message
  optional Inner fourth =
      4;
  optional Kind fifth = 5;
}

message Next {
  optional bool first = 1;  // Of the next.
}
"""


def test_comments_of_fields() -> None:
    assert field_comments(TEXT) == {
        ("Outer", "first"): "Two lines above.",
        ("Outer", "second"): "Behind it.",
        ("Outer", "fourth"): "A message",
        ("Next", "first"): "Of the next.",
    }


def test_every_commented_field_of_caffes_schema_is_one() -> None:
    comments = field_comments((Path(bicerin_proto.__file__).parent / "caffe.proto").read_text("utf-8"))
    schema = bicerin_proto.default_schema()
    assert comments
    for message, field in comments:
        assert field in schema.pool.FindMessageTypeByName(f"caffe.{message}").fields_by_name
