"""Caffe's command line: `caffe` and the small tools, each with Caffe's own flags."""

from bicerin_caffe.command.brew import caffe
from bicerin_caffe.command.tools import (
    compute_image_mean,
    convert_imageset,
    extract_features,
    upgrade_net_proto_binary,
    upgrade_net_proto_text,
    upgrade_solver_proto_text,
)

__all__ = [
    "caffe",
    "compute_image_mean",
    "convert_imageset",
    "extract_features",
    "upgrade_net_proto_binary",
    "upgrade_net_proto_text",
    "upgrade_solver_proto_text",
]
