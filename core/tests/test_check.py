"""`bicerin check`: shapes, parameters, cost and errors, without running and without data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bicerin import Blob, BlobCounts, Layer, Net
from bicerin.cli.command_line import command_line
from bicerin.errors import MissingDataError, NetError
from bicerin.layer import CountsProducts, TellsShapes

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 } } }\n'
LABEL = 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 dim: 3 } } }\n'
LOSS = 'layer { name: "loss" type: "HalfSquareLoss" bottom: "affine" bottom: "label" top: "loss" }\n'


def layer(type_name: str, name: str, bottom: str, top: str = "", more: str = "") -> str:
    return f'layer {{ name: "{name}" type: "{type_name}" bottom: "{bottom}" top: "{top or name}" {more} }}\n'


class StoreLayer(TellsShapes, Layer):
    """A data layer whose store is never there; it knows the shape of its second top only."""

    type = "Store"
    counts = BlobCounts(bottom=0, top=2)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        raise MissingDataError("source digits_lmdb does not exist.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None: ...

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None: ...

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int, ...] | None]:
        return [None, (4, 3)][:tops]


class FilledLayer(CountsProducts, Layer):
    """Learns a blob so large that filling it would take minutes, if it were to be filled."""

    type = "Filled"
    counts = BlobCounts(bottom=1, top=1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        filler = self.param.inner_product_param.weight_filler
        filler.type = "no such filler"
        self.declare_blobs(((40_000, 40_000), filler))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        raise AssertionError("nothing is run")

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return 7 * top[0].count


@pytest.fixture(autouse=True)
def _layers(provided: Any) -> None:
    for cls in (StoreLayer, FilledLayer):
        provided.layer(cls)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(command_line, ["check", *arguments])
    assert result.exit_code == status, result.output
    return result


def checked(text: str, *arguments: str, status: int = 0) -> dict[str, Any]:
    Path("net.prototxt").write_text(text)
    (report,) = json.loads(check("net.prototxt", "--json", *arguments, status=status).stdout)
    found: dict[str, Any] = report
    return found


def shapes(report: dict[str, Any], net: int = 0) -> dict[str, Any]:
    return {
        top: shape
        for row in report["nets"][net]["layers"]
        for top, shape in zip(row["top"], row["top_shapes"], strict=True)
    }


def test_a_name_is_printable_and_no_message_ends_in_it(folder: Path) -> None:
    report = checked(INPUT + layer("Afine", r"a\n\033[2Jb", "data"), status=1)
    (error,) = report["errors"]
    assert r'layer "a\n\x1b[2Jb": unknown layer type "Afine". Did you mean "Affine"?' in error


def test_layers_of_one_name_are_warned_of(folder: Path) -> None:
    report = checked(INPUT + layer("Affine", "twin", "data", "a") + layer("Affine", "twin", "a", "b"))
    (warning,) = report["nets"][0]["warnings"]
    assert warning.startswith('the layer name "twin" is used by 2 layers with weights') and not report["errors"]
    assert warning in check("net.prototxt").output


@pytest.mark.parametrize("text", ["", "# layers are to follow\n", 'name: "n"\n'])
def test_a_net_without_layers_is_an_error(text: str, folder: Path) -> None:
    assert checked(text, status=1)["errors"] == ["net.prototxt: the net has no layers"]
    assert solver(SOLVER, status=1)["errors"] == ["net.prototxt: the net has no layers"]
    # One that is empty in a phase is not meant for it.
    assert not checked(INPUT.replace("top:", "include { phase: TEST } top:", 1))["errors"]


def test_shapes_parameters_cost_and_memory(folder: Path) -> None:
    report = checked(INPUT + layer("Affine", "affine", "data") + layer("Filled", "filled", "affine") + LABEL + LOSS)
    (net,) = report["nets"]
    assert (report["kind"], report["errors"], net["phase"], net["complete"]) == ("net", [], "TEST", True)
    assert shapes(report) == {"data": [4, 3], "affine": [4, 3], "filled": [4, 3], "label": [4, 3], "loss": []}
    by_name = {row["name"]: row for row in net["layers"]}
    assert by_name["affine"]["parameters"] == [[3], [3]]
    assert (by_name["affine"]["parameter_count"], by_name["affine"]["memory"]) == (6, 48)
    assert by_name["filled"]["multiply_adds"] == 7 * 12
    assert (net["parameters"], net["multiply_adds"], net["memory"]) == (6 + 40_000**2, 12 + 84 + 1, 4 * 48 + 4)
    table = check("net.prototxt").stdout
    assert "1,600,000,000" in table and "4x3" in table and "scalar" in table


def test_shared_parameters_and_tops_in_place_count_once(folder: Path) -> None:
    shared = 'param { name: "w" } param { name: "b" }'
    report = checked(
        INPUT + layer("Affine", "one", "data", more=shared) + layer("Square", "square", "one", "one")
        + layer("Affine", "two", "one", more=shared)
    )  # fmt: skip
    assert report["nets"][0]["parameters"] == 6
    assert [row["memory"] for row in report["nets"][0]["layers"]] == [48, 48, 0, 48]


def test_a_bottom_that_is_made_later(folder: Path) -> None:
    """It is said as a net says it."""
    text = INPUT + layer("Square", "early", "late") + layer("Square", "late", "data")
    (error,) = checked(text, status=1)["errors"]
    with pytest.raises(NetError) as said:
        Net(folder / "net.prototxt")
    assert "(layer 'early', bottom index 0). Layer \"late\" produces it, but comes later" in error
    assert error.partition(":")[2] in str(said.value)


def test_every_layers_error_is_reported_and_the_rest_goes_on(folder: Path) -> None:
    report = checked(
        INPUT
        + layer("Afine", "unknown", "data", "data")  # in place: the shape stays
        + layer("Square", "square", "data")
        + layer("Affine", "many", "square", more="param { } param { } param { lr_mult: 0 } ")
        + layer("HalfSquareLoss", "counts", "square")
        + layer("Square", "missing", "squared")
        + layer("Square", "twice", "square", "data")
        + layer("Square", "flags", "square", more="propagate_down: true propagate_down: true")
        + layer("Square", "after", "many"),
        status=1,
    )
    for line, said in {
        2: 'layer "unknown": unknown layer type "Afine". Did you mean "Affine"?',
        4: 'Too many params specified for layer "many" (Affine): 3 for 2 blob(s).',
        5: 'layer "counts" (HalfSquareLoss): HalfSquareLoss Layer takes 2 bottom blob(s) as input.',
        6: "Unknown bottom blob 'squared' (layer 'missing', bottom index 0). Did you mean \"square\"?",
        7: "Top blob 'data' produced by multiple sources: layer \"twice\"",
        8: 'layer "flags": propagate_down param must be specified either 0 or bottom_size times',
    }.items():
        (error,) = [error for error in report["errors"] if error.startswith(f"net.prototxt:{line}: ")]
        assert said in error
    assert len(report["errors"]) == 6
    assert shapes(report)["square"] == [4, 3]
    after = report["nets"][0]["layers"][-1]
    assert (after["top_shapes"], after["note"], after["error"]) == ([None], "the shape of many is not known", "")
    assert not report["nets"][0]["complete"]
    failed = check("net.prototxt", status=1)
    assert "Traceback" not in failed.stderr and failed.stderr.count("error:") == 6


STORE = 'layer { name: "store" type: "Store" top: "images" top: "label" }\n'


def test_a_missing_source_is_no_error(folder: Path) -> None:
    net = STORE + layer("Affine", "affine", "images") + LOSS
    report = checked(net)
    assert report["errors"] == []
    assert shapes(report) == {"images": None, "label": [4, 3], "affine": None, "loss": None}
    store, affine, _ = report["nets"][0]["layers"]
    assert (store["note"], store["assumed"]) == ("source digits_lmdb does not exist.", True)
    assert affine["note"] == "the shape of images is not known"
    table = check("net.prototxt").stdout
    assert "?, 4x3 (assumed)" in table and "3 layer(s) are left out" in table

    report = checked(net, "--input", "images=4,3")
    assert shapes(report) == {"images": [4, 3], "label": [4, 3], "affine": [4, 3], "loss": []}
    report = checked(net, "--input", "images=2,3", "--input", "label=2,3")
    assert shapes(report)["affine"] == [2, 3]
    assert report["nets"][0]["layers"][0]["note"] == "shapes as given"
    assert "not of the form" in check("net.prototxt", "--input", "images=2,x", status=2).stderr


def test_unknown_types_and_bottoms_of_given_shapes(folder: Path) -> None:
    net = layer("Nobodys", "first", "data") + layer("Square", "square", "first")
    assert shapes(checked(net, "--input", "data=2,3", "--input", "first=5,6", status=1))["square"] == [5, 6]


def test_phases(folder: Path) -> None:
    train, test = "include { phase: TRAIN }", "include { phase: TEST }"
    only_train = INPUT.replace("top:", f"{train} top:") + layer("Square", "square", "data")
    report = checked(only_train)
    assert [net["phase"] for net in report["nets"]] == ["TRAIN"], "the net is not meant for TEST"
    assert checked(only_train, "--phase", "TEST", status=1)["errors"]
    report = checked(INPUT + layer("Square", "a", "data", more=train) + layer("Square", "b", "data", more=test))
    assert [(net["phase"], net["layers"][1]["name"]) for net in report["nets"]] == [("TRAIN", "a"), ("TEST", "b")]
    report = checked(layer("Square", "rules", "x", more=f"{train} exclude {{ }}"), status=1)
    assert "Specify either include rules or exclude rules; not both" in report["errors"][0]


def test_weights(folder: Path) -> None:
    Path("net.prototxt").write_text(INPUT + layer("Affine", "affine", "data"))
    Net("net.prototxt").save("right.caffemodel")
    assert checked(Path("net.prototxt").read_text(), "-w", "right.caffemodel")["weights"] == [
        "right.caffemodel: weights of 1 layer(s) fit"
    ]
    wider = INPUT.replace("dim: 3", "dim: 5") + layer("Affine", "affine", "data") + layer("Affine", "more", "affine")
    report = checked(wider, "-w", "right.caffemodel", status=1)
    assert "Source param shape is (3,); target param shape is (5,)" in report["errors"][0]
    assert "missing: more" in report["weights"][0]
    assert "no such file" in checked(wider, "-w", "absent.caffemodel", status=1)["errors"][0]


SOLVER = 'net: "net.prototxt" lr_policy: "fixed" base_lr: 0.1 test_iter: 3 test_interval: 5 max_iter: 10\n'


def solver(text: str, status: int = 0) -> dict[str, Any]:
    Path("solver.prototxt").write_text(text)
    (report,) = json.loads(check("solver.prototxt", "--json", status=status).stdout)
    found: dict[str, Any] = report
    return found


def test_solvers(folder: Path) -> None:
    Path("net.prototxt").write_text(INPUT + layer("Square", "square", "data", more="include { phase: TEST }"))
    report = solver(SOLVER)
    assert report["kind"] == "solver"
    assert [(net["phase"], len(net["layers"])) for net in report["nets"]] == [("TRAIN", 1), ("TEST", 2)]
    report = solver(SOLVER.replace('"fixed"', '"fixd"').replace("test_interval: 5", "iter_size: 0"), status=1)
    assert 'Unknown learning rate policy: fixd. Did you mean "fixed"?' in report["errors"][0]
    assert "test_interval must be greater than 0" in report["errors"][1]
    assert len(report["nets"]) == 1, "the net to train is checked all the same"
    assert "solver.prototxt: " in solver('type: "Addam" ' + SOLVER, status=1)["errors"][0]
    assert "absent.prototxt: no such file" in solver(SOLVER.replace("net.", "absent."), status=1)["errors"][0]
    Path("net.prototxt").write_text(INPUT + layer("Square", "square", "dat"))
    assert "net.prototxt:2: " in solver(SOLVER, status=1)["errors"][0]


def test_a_solver_is_meant_to_be_run_in_a_folder_above(folder: Path) -> None:
    (folder / "models" / "one").mkdir(parents=True)
    (folder / "models" / "one" / "net.prototxt").write_text(INPUT)
    path = folder / "models" / "one" / "solver.prototxt"
    path.write_text(SOLVER.replace('"net.', '"one/net.'))
    (report,) = json.loads(check(str(path), "--json").stdout)
    assert len(report["nets"]) == 2


def test_several_files_and_what_is_neither_net_nor_solver(folder: Path) -> None:
    Path("good.prototxt").write_text(INPUT)
    Path("bad.prototxt").write_text("layer {\n  nmae: 3\n}\n")
    result = check("good.prototxt", "bad.prototxt", "absent.prototxt", "--summary", status=1)
    assert "good.prototxt: net, no errors" in result.stdout
    assert "bad.prototxt: 1 error(s)" in result.stdout
    assert "3 files: 1 parse, 1 are fully known, 2 have errors" in result.stdout
    assert "bad.prototxt:2:3: " in result.stderr
    assert "absent.prototxt: no such file" in result.stderr


def test_an_older_format_is_brought_up_to_date(folder: Path) -> None:
    report = checked('input: "data" input_shape { dim: 2 dim: 3 }\n')
    assert report["upgraded"] == ["1 input field to an Input layer"]
    assert shapes(report) == {"data": [2, 3]}


def test_nothing_is_written(folder: Path) -> None:
    checked(INPUT + layer("Affine", "affine", "data"))
    assert [path.name for path in folder.iterdir()] == ["net.prototxt"]
