"""Compile .proto files: `python -m bicerin_proto.compile [--check] [FILE.proto ...]`.

Without a file, Caffe's own schema is compiled. The result lies beside its source (`rcnn.proto` -> `rcnn.binpb`) and
is what a wheel ships, so that only an author needs protoc; it comes from grpcio-tools, imported when first needed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from bicerin_proto.errors import SchemaError
from bicerin_proto.quotation import printable

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

_HERE = Path(__file__).parent
_OWN = ("caffe.proto", "weights.proto")
_PROVIDED = ("caffe.proto", "bicerin.proto", "google/")
"""Files that a plugin imports and must not ship: they are here, or in protobuf."""


def compile_proto(path: str | PathLike[str]) -> bytes:
    """Compile a plugin's .proto into a serialized FileDescriptorSet of that file and its imports from the same folder.

    The file may import "caffe.proto" and "bicerin.proto". The same source gives the same bytes.

    Raises:
        SchemaError: the file is missing, protoc rejects it (its own message is shown), or there is no protoc.
    """
    source = Path(path)
    if not os.path.isfile(source):
        raise SchemaError(f"{printable(source)}: no such .proto file (from {printable(Path.cwd())})")
    files = _protoc(source.parent, [source.name])
    kept = [file for file in files.file if not file.name.startswith(_PROVIDED)]
    return _serialized(files, kept)


def compile_own() -> bytes:
    """Compile Caffe's schema, which is what `caffe.binpb` holds."""
    files = _protoc(_HERE, _OWN)
    return _serialized(files, [file for file in files.file if file.name in _OWN])


def descriptor_path(path: str | PathLike[str]) -> Path:
    """Return where the compiled form of a .proto lies."""
    return Path(path).with_suffix(".binpb")


def check_current(path: str | PathLike[str]) -> bool:
    """Tell whether the descriptor beside a .proto is what the .proto compiles to."""
    shipped = descriptor_path(path)
    return shipped.is_file() and shipped.read_bytes() == _compiled(Path(path))


def _compiled(path: Path) -> bytes:
    own = path.resolve() == (_HERE / "caffe.proto").resolve()
    return compile_own() if own else compile_proto(path)


def _protoc(folder: Path, names: Sequence[str]) -> FileDescriptorSet:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    if importlib.util.find_spec("grpc_tools") is None:
        raise SchemaError('compiling a .proto needs grpcio-tools: pip install "bicerin-proto[compile]"')
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "files.binpb"
        # A process of its own, because protoc writes its errors to the C library's stderr.
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder or '.'}", f"-I{_HERE}"]
        command += ["--include_imports", f"--descriptor_set_out={target}", *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SchemaError(f"protoc rejects {folder / names[0]}:\n{(done.stderr or done.stdout).strip()}")
        return FileDescriptorSet.FromString(target.read_bytes())


def _serialized(files: FileDescriptorSet, kept: Iterable[object]) -> bytes:
    result = type(files)(file=kept)
    for file in result.file:
        for message in file.message_type:
            _drop_json_names(message)
    return result.SerializeToString(deterministic=True)


def _drop_json_names(message: DescriptorProto) -> None:
    # They follow from the names, and whether protoc writes them depends on its version.
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _drop_json_names(nested)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status: 1 where a file does not compile or, with `--check`, is not current."""
    parser = argparse.ArgumentParser(prog="python -m bicerin_proto.compile", description="Compile .proto files.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.proto", help="default: Caffe's own schema")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a descriptor is not current")
    options = parser.parse_args(arguments)
    status = 0
    for path in options.files or [_HERE / "caffe.proto"]:
        target = descriptor_path(path)
        try:
            if not options.check:
                target.write_bytes(_compiled(path))
                print(target)
            elif not check_current(path):
                print(f"{target} is not what {path} compiles to; run: python -m bicerin_proto.compile {path}")
                status = 1
        except SchemaError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
