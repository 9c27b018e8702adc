"""A plugin of someone else's, whose field numbers are taken already, beside ours: install, use, uninstall."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from clean_environment import Environment
from third_party import Plugin

MODULE = '''
from bicerin import Layer, BlobCounts


class Raise(Layer):
    """top = bottom ** exponent + offset."""

    type = "Raise"
    counts = BlobCounts(bottom=1, top=1)

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])
        self.declare_blobs(((1,), None))

    def forward(self, bottom, top):
        options, offset = self.param.raise_param, self.param.raise_offset_param
        top[0].data[...] = bottom[0].data ** options.exponent + offset.offset
'''

#: 138 is Caffe's tile_param, 8266711 is roi_pooling_param of bicerin-rcnn.
PROTO = """
syntax = "proto2";
package somebody;

message RaiseParameter { optional float exponent = 1 [default = 1]; }
message RaiseOffsetParameter { optional float offset = 1; }
message LayerParameter {
  optional RaiseParameter raise_param = 138;
  optional RaiseOffsetParameter raise_offset_param = 8266711;
}
"""

RAISE = Plugin("somebodys-raise", MODULE, {"Raise": "Raise"}, PROTO)

NET = """
name: "all"
layer { name: "data" type: "DummyData" top: "data" top: "rois"
        dummy_data_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } shape { dim: 3 dim: 5 }
                           data_filler { type: "constant" value: 3 } data_filler { type: "constant" value: 0 } } }
layer { name: "raise" type: "Raise" bottom: "data" top: "raise"
        raise_param { exponent: 2 } raise_offset_param { offset: 0.5 } }
layer { name: "tile" type: "Tile" bottom: "raise" top: "tile" tile_param { tiles: 3 } }
layer { name: "roi" type: "ROIPooling" bottom: "tile" bottom: "rois" top: "roi"
        roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 1 } }
layer { name: "roi_mean" type: "Reduction" bottom: "roi" top: "mean" reduction_param { operation: MEAN } }
"""

#: Reads the net as text and as binary, and says what it computes.
USE = """
import json, pathlib, bicerin, bicerin_proto
from bicerin.schema.installed_schema import schema

net = bicerin.Net("net.prototxt", phase="TEST")
bicerin_proto.write_binary(net.param, "net.binary")
again = bicerin.Net(pathlib.Path("net.binary"), phase="TEST")
text = bicerin_proto.read_net(pathlib.Path("net.prototxt"), schema()).message
net.save("net.caffemodel")
print(json.dumps({
    "mean": [float(one.forward()["mean"]) for one in (net, again)],
    "shape": net.blobs["roi"].shape,
    "same": again.param.layer[1] == text.layer[1],
}))
"""


def test_numbers_that_are_taken(everything: Environment, build: Callable[[Plugin], Path], tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    before = everything.bicerin("test", "net.prototxt", cwd=tmp_path, status=1)
    assert "net.prototxt:7:9: " in before.stderr
    assert 'no field named "raise_param"' in before.stderr

    everything.install(build(RAISE))
    try:
        used = json.loads(everything.script(USE, tmp_path).stdout)
        assert used == {"mean": [9.5, 9.5], "shape": [3, 6, 2, 2], "same": True}
        listed = json.loads(everything.bicerin("plugins", "list", "--json").stdout)
        fields = {field["field"]: field for field in listed["fields"]}
        assert fields["raise_param"]["distributions"] == ["somebodys-raise"]
        assert fields["roi_pooling_param"]["distributions"] == ["bicerin-rcnn"]
        checked = everything.bicerin("plugins", "check", "somebodys-raise")
        assert "LayerParameter.raise_param = 138" in checked.stdout
    finally:
        everything.uninstall("somebodys-raise")

    after = everything.bicerin("test", "net.prototxt", cwd=tmp_path, status=1)
    assert after.stderr.splitlines()[0] == before.stderr.splitlines()[0]
    weights = everything.script(
        'import bicerin; text = open("net.prototxt").read().replace("raise_param { exponent: 2 }", "")'
        '.replace("raise_offset_param { offset: 0.5 }", "").replace(\'"Raise"\', \'"Power"\')\n'
        'net = bicerin.Net(text, phase="TEST")\n'
        'print(net.load_weights("net.caffemodel", ignore_mismatched=True).mismatched, net.name)',
        tmp_path,
    )
    assert weights.stdout == "['raise'] all\n", "weights load whatever fields their net had"
