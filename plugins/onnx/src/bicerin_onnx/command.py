"""Write a net as an ONNX model or a module of PyTorch, and compare it with the net there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from bicerin.cli.options import FILE, net_options, phase_option, verbosity_options
from bicerin.errors import NetError
from bicerin.net.arrays_file import read_arrays

_log = logging.getLogger("bicerin.onnx")


@click.command()
@click.argument("net", type=FILE)
@click.option("--weights", "-w", multiple=True, metavar="FILE", type=FILE, help="Weights to load; repeatable.")
@click.option("--random-weights", is_flag=True, help="Export layers that no file names as their fillers made them.")
@click.option("--output", "-o", required=True, metavar="FILE", type=FILE, help="What to write: net.onnx, or net.py.")
@click.option(
    "--to",
    "language",
    type=click.Choice(["onnx", "torch"]),
    default="onnx",
    show_default=True,
    help="Write an ONNX model, or a module of PyTorch with its weights beside it.",
)
@click.option("--opset", type=int, help="The version of ONNX's operators, from 13 on.  [default: 17]")
@click.option("--end", multiple=True, metavar="BLOB", help="End with this blob; repeatable. By default, all outputs.")
@click.option(
    "--fold/--no-fold",
    default=True,
    show_default=True,
    help="Put BatchNorm and Scale into the weights; for PyTorch, Scale into BatchNorm.",
)
@click.option(
    "--dynamic/--no-dynamic", default=True, show_default=True, help="Let batch size, height and width be variables."
)
@click.option("--custom-domain", is_flag=True, help='Write layers that cannot be exported in the domain "caffe".')
@click.option("--keep-losses", is_flag=True, help="Export losses and Accuracy too.")
@click.option("--preprocess", is_flag=True, help="Take raw images and do what the data layer's transform_param says.")
@click.option(
    "--verify/--no-verify",
    default=None,
    help="Compare every blob with the net's.  [default: where onnxruntime, or torch, is installed]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="The largest difference that is allowed, of an element's size or of its blob's root mean square.",
)
@click.option(
    "--inputs", metavar="FILE", type=FILE, help="Compare on this: an .npz with an array for each input, or an image."
)
@click.option(
    "--int8",
    "store",
    is_flag=False,
    flag_value="",
    metavar="[STORE]",
    type=FILE,
    help="Write a model of 8-bit integers, with ranges from STORE: what the net's data layer reads in place of its own "
    "source, or an .npz with an array for each input. Without STORE: from the data layer's own.",
)
@click.option(
    "--int8-batches",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Find the ranges on so many batches, and compare on as many that follow.",
)
@phase_option("TEST")
@net_options
@verbosity_options
def export(
    net: str,
    weights: tuple[str, ...],
    random_weights: bool,
    output: str,
    language: str,
    opset: int | None,
    end: tuple[str, ...],
    fold: bool,
    dynamic: bool,
    custom_domain: bool,
    keep_losses: bool,
    preprocess: bool,
    verify: bool | None,
    tolerance: float,
    inputs: str | None,
    store: str | None,
    int8_batches: int,
    phase: str,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
) -> None:
    """Write NET with its weights as an ONNX model, or with --to torch as a module of PyTorch.

    Every blob of the model is compared with the net's, on what the net's data layer reads, or else on noise, at two
    batch sizes, before the file is written. With --int8, that is the model before it is quantized; what this changes is
    said.
    """
    from bicerin.net import Net
    from bicerin_onnx import exporter, model

    model.require_writable(output)
    written = [output, str(Path(output).with_suffix(".safetensors"))] if language == "torch" else [output]
    _check_overwriting(written, {"NET": [net], "--weights": weights, "--inputs": [inputs], "--int8": [store]})
    if language == "torch":
        given = {"--opset": opset, "--custom-domain": custom_domain, "--preprocess": preprocess}
        _check_torch(output, {**given, "--int8": store is not None})
    elif opset is not None:
        exporter.check_opset(opset)
    if store is not None and preprocess:
        raise NetError("--int8 with --preprocess: the data layer gives images that are preprocessed already.")
    source: Any = Path(net)
    if store and not store.endswith(".npz"):
        source = _reading(source, store, layer_providers)
    built = Net(source, phase, level=level, stages=stages, layer_providers=layer_providers)
    unnamed = set(built.params)
    for path in weights:
        unnamed &= set(built.load_weights(path).missing)
    _say_random(built, unnamed, end, bool(weights), random_weights)
    if language == "torch":
        _write_module(built, output, fold, dynamic, end, keep_losses, verify, tolerance, inputs)
        return
    opset = 17 if opset is None else opset
    made = exporter.export(
        built,
        opset=opset,
        fold=fold,
        dynamic=dynamic,
        end=end,
        custom_domain=custom_domain,
        keep_losses=keep_losses,
        preprocess=preprocess,
    )
    custom = sorted({node.op_type for node in made.graph.node if node.domain == "caffe"})
    if verify is None and not custom:
        verify = find_spec("onnxruntime") is not None
        if not verify:
            _log.warning("not compared with the net: pip install 'bicerin-onnx[onnxruntime]'")
    if verify:
        click.echo(_compared(built, made, tolerance, inputs))
    elif custom:
        _log.warning('not compared with the net: %s in the domain "caffe"', ", ".join(custom))
    if store is not None:
        from bicerin_onnx.quantization import quantize

        arrays = read_arrays(store) if store.endswith(".npz") else None
        quantization = quantize(built, made, int8_batches, arrays)
        click.echo(quantization)
        click.echo(f"{quantization.quantized} of {len(made.graph.node)} operations in 8 bits")
        made = quantization.model
    model.write(made, output)
    click.echo(f"{output}: {len(made.graph.node)} operations, opset {opset}, {_described(made)}")


def _say_random(net: Any, unnamed: set[str], end: tuple[str, ...], given: bool, wanted: bool) -> None:
    """Refuse layers whose weights are from no file, unless that is wanted.

    Args:
        unnamed: layers that no file names. What such a layer shares with others is from a file.
        given: whether there is a file.
    """
    from bicerin_onnx.tracing import leading_to

    known = {id(blob.memory[0]) for name, blobs in net.params.items() if name not in unnamed for blob in blobs}
    random = [
        net.nodes[place].name
        for place in sorted(leading_to(net.nodes, end))
        if net.nodes[place].name in unnamed
        and any(id(blob.memory[0]) not in known for blob in net.params[net.nodes[place].name])
    ]
    if not random:
        return
    listed = ", ".join(f'"{name}"' for name in random[:8]) + (", ..." if len(random) > 8 else "")
    missing = f"no --weights file has those of {listed}" if given else "no --weights"
    if not wanted:
        raise NetError(
            f"{missing}: the model would have random weights, from the net's fillers. Give the file that has them, or "
            "--random-weights."
        )
    _log.warning("%s: the model has random weights, from the net's fillers", missing)


def _check_overwriting(written: Iterable[str], read: dict[str, Iterable[str | None]]) -> None:
    """Refuse to write over what is read, by whatever name, before the net is read."""
    for output in written:
        for option, paths in read.items():
            for path in filter(None, paths):
                if os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path):
                    raise NetError(
                        f"{output} would be written over {path}, which {option} names: give --output another."
                    )


def _check_torch(output: str, options: dict[str, Any]) -> None:
    """Refuse what is for ONNX alone, before the net is read."""
    from bicerin_onnx.pytorch.program import python_file

    python_file(output)
    for name, value in options.items():
        if value:
            raise NetError(f"{name} is for ONNX models, not for --to torch.")


def _write_module(
    net: Any,
    output: str,
    fold: bool,
    dynamic: bool,
    end: tuple[str, ...],
    keep_losses: bool,
    verify: bool | None,
    tolerance: float,
    inputs: str | None,
) -> None:
    from bicerin_onnx import pytorch

    program = pytorch.export(net, fold=fold, dynamic=dynamic, end=end, keep_losses=keep_losses)
    if verify is None:
        verify = find_spec("torch") is not None
        if not verify:
            _log.warning("not compared with the net: pip install 'bicerin-onnx[torch]'")
    if verify:
        click.echo(_compared(net, program, tolerance, inputs))
    path = program.write(output)
    parameters = sum(array.size for array in program.tensors.values())
    click.echo(f"{path}, {path.with_suffix('.safetensors')}: {program.class_name}, {parameters:,} numbers")


def _compared(net: Any, model: Any, tolerance: float, inputs: str | None) -> object:
    from bicerin_onnx.verification import verify

    return verify(net, model, inputs, tolerance=tolerance)


def _reading(net: Path, store: str, layer_providers: dict[str, str]) -> Any:
    """A net whose data layers read another store, or list, than their own."""
    from bicerin.schema.installed_schema import read_net

    document = read_net(net, layer_providers)
    path, found = Path(store).absolute(), 0
    for layer in document.message.layer:
        if layer.bottom:
            continue
        for field, param in layer.ListFields():
            fields = getattr(getattr(param, "DESCRIPTOR", None), "fields_by_name", {})
            if not field.name.endswith("_param") or "source" not in fields or not param.HasField("source"):
                continue
            param.source = str(path)
            found += 1
            if field.name == "data_param" and path.is_dir():
                param.backend = param.LMDB if (path / "data.mdb").exists() else param.LEVELDB
    if not found:
        raise NetError(
            f"--int8 {store}: no layer of the net reads a store or a list. Export the net that has the data layer, "
            "such as train_val.prototxt, or give an .npz with an array for each input."
        )
    return document


def _described(model: Any) -> str:
    return f"{_infos(model.graph.input)} -> {_infos(model.graph.output)}"


def _infos(infos: Iterable[Any]) -> str:
    parts = []
    for info in infos:
        dims = [dim.dim_param or str(dim.dim_value) for dim in info.type.tensor_type.shape.dim]
        parts.append(f"{info.name} ({', '.join(dims)})")
    return ", ".join(parts) or "nothing"
