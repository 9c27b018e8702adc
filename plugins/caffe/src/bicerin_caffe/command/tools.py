"""Caffe's small tools: their flags and arguments, and the commands of Bicerin that do the work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from bicerin_caffe import settings
from bicerin_caffe.command.flags import GLOG, FlagError, parse
from bicerin_caffe.command.program import bicerin_command, running
from bicerin_caffe.log import log


def convert_imageset() -> NoReturn:
    """What the script `convert_imageset` runs."""
    flags, arguments = _arguments(
        "convert_imageset [FLAGS] ROOTFOLDER/ LISTFILE DB_NAME",
        {
            "gray": False,
            "shuffle": False,
            "backend": "lmdb",
            "resize_width": 0,
            "resize_height": 0,
            "check_size": False,
            "encoded": False,
            "encode_type": "",
        },
        range(3, 4),
    )
    if flags["resize_width"] <= 0 or flags["resize_height"] <= 0:
        flags["resize_width"] = flags["resize_height"] = 0  # one of them alone does nothing, as in Caffe
    switches = [f"--{name.replace('_', '-')}" for name in ("gray", "shuffle", "check_size", "encoded") if flags[name]]
    options = [f"--{name.replace('_', '-')}={flags[name]}" for name in ("backend", "resize_width", "resize_height")]
    if flags["encode_type"]:
        options.append(f"--encode-type={flags['encode_type']}")
    # Caffe's tool leaves out images that it cannot read.
    command = ["convert-imageset", "--skip-bad-records", *switches, *options, "--", *arguments]
    _run("convert_imageset", flags, *command)


def compute_image_mean() -> NoReturn:
    """What the script `compute_image_mean` runs."""
    flags, arguments = _arguments("compute_image_mean [FLAGS] INPUT_DB [OUTPUT_FILE]", {"backend": "lmdb"}, range(1, 3))
    _run("compute_image_mean", flags, "compute-image-mean", f"--backend={flags['backend']}", "--", *arguments)


def extract_features() -> NoReturn:
    """What the script `extract_features` runs."""
    flags, arguments = _arguments(
        "extract_features pretrained_net_param feature_extraction_proto_file extract_feature_blob_name1[,name2,...] "
        "save_feature_dataset_name1[,name2,...] num_mini_batches db_type [CPU/GPU] [DEVICE_ID=0]",
        {},
        range(6, 9),
    )
    backend, *place = arguments[5:]
    number = place[1].removeprefix("DEVICE_ID=") if len(place) > 1 else "0"
    if not number.isdecimal():
        sys.exit(f"ERROR: {place[1]} is not the number of a device.")
    device = settings.gpu_or_cpu(int(number)) if place and place[0] == "GPU" else "cpu"
    options = [f"--backend={backend}", f"--device={device}"]
    command = ["extract-features", *options, "--", *arguments[:5]]
    _run("extract_features", flags, *command, done="Successfully extracted the features!")


def upgrade_net_proto_text() -> NoReturn:
    """What the script `upgrade_net_proto_text` runs."""
    _upgrade("upgrade_net_proto_text", "net", "--text")


def upgrade_net_proto_binary() -> NoReturn:
    """What the script `upgrade_net_proto_binary` runs."""
    _upgrade("upgrade_net_proto_binary", "net", "--binary")


def upgrade_solver_proto_text() -> NoReturn:
    """What the script `upgrade_solver_proto_text` runs."""
    _upgrade("upgrade_solver_proto_text", "solver", "--text")


def _upgrade(program: str, kind: str, form: str) -> NoReturn:
    flags, arguments = _arguments(f"{program} {kind}_proto_file_in {kind}_proto_file_out", {}, range(2, 3))
    done = f"Wrote upgraded {kind.capitalize()}Parameter {form[2:]} proto to {arguments[1]}"
    _run(program, flags, "upgrade", form, kind, "--", *arguments, done=done)


def _arguments(usage: str, defaults: dict[str, Any], numbers: Sequence[int]) -> tuple[dict[str, Any], list[str]]:
    """The flags and arguments of this process; without as many arguments as there must be, it says how and exits."""
    try:
        flags, arguments = parse(sys.argv[1:], {**defaults, **GLOG, "help": False})
    except FlagError as error:
        sys.exit(f"ERROR: {error}\nUsage: {usage}")
    if flags["help"] or len(arguments) not in numbers:
        sys.exit(f"Usage: {usage}")
    return flags, arguments


def _run(program: str, flags: dict[str, Any], *command: str, done: str = "") -> NoReturn:
    def said(_: dict[str, Any]) -> None:
        bicerin_command(*command)
        if done:
            log(done)

    running(program, flags, said)
