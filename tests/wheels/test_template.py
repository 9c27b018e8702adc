"""What `bicerin plugins new` writes: installed, tested, checked, and built into a wheel that works elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clean_environment import Environment, uv


@pytest.fixture(scope="session")
def rendered(author: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("author") / "package"
    said = author.bicerin("plugins", "new", "Bicerin_Soft.Gate", "--directory", folder, "--layer", "SoftGATE2d").stdout
    assert "the distribution bicerin-soft-gate" in said
    return folder


def test_nothing_of_the_template_is_left(rendered: Path) -> None:
    files = [path for path in rendered.rglob("*") if path.is_file()]
    assert rendered / "src/bicerin_soft_gate/soft_gate2d.py" in files
    for path in files:
        for name in (b"my_plugin", b"my-plugin", b"MyLayer", b"my_layer"):
            assert name not in path.read_bytes(), path
            assert name not in str(path).encode()


def test_it_passes_its_tests_and_the_check(author: Environment, rendered: Path) -> None:
    author.install("-e", f"{rendered}[test]")
    try:
        tested = author.run(author.python, "-m", "pytest", "-q", cwd=rendered).stdout
        assert "skipped" not in tested
        author.bicerin("plugins", "proto", "--check", "src/bicerin_soft_gate/soft_gate2d.proto", cwd=rendered)
        checked = author.bicerin("plugins", "check", "bicerin-soft-gate").stdout
        assert "0 failed" in checked
        assert re.search(r"\d+ checks +passed", checked)
        assert outcomes(author.bicerin("plugins", "check", "bicerin-soft-gate", "--json").stdout, "onnx") == {"passed"}
    finally:
        author.uninstall("bicerin-soft-gate")


def outcomes(findings: str, check: str) -> set[str]:
    return {one["outcome"] for one in json.loads(findings)["findings"] if one["check"] == check}


def test_its_wheel_works_where_only_the_core_is(core_alone: Environment, rendered: Path, tmp_path: Path) -> None:
    uv("build", "--out-dir", tmp_path, rendered)  # the wheel is made from the sdist
    (wheel,) = tmp_path.glob("*.whl")
    core_alone.install(wheel)
    try:
        net = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 } } } '
        net += 'layer { name: "g" type: "SoftGATE2d" bottom: "d" top: "g" soft_gate2d_param { threshold: 1 } }'
        done = core_alone.script(f"import bicerin; print(bicerin.Net({net!r}).forward(d=[[-3, 0.5]])['g'].tolist())")
        assert done.stdout == "[[-2.0, 0.0]]\n"
        assert "SoftGATE2d" in core_alone.bicerin("plugins", "list").stdout
    finally:
        core_alone.uninstall("bicerin-soft-gate")


def test_nothing_is_overwritten(core_alone: Environment, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("kept")
    refused = core_alone.bicerin("plugins", "new", "theirs", cwd=tmp_path, status=1).stderr
    assert "nothing is overwritten" in refused
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["file"]


def test_a_folder_that_cannot_be(core_alone: Environment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = core_alone.bicerin("plugins", "new", "theirs", "-d", "file/folder", cwd=tmp_path, status=1).stderr
    assert "file/folder: cannot be written: Not a directory" in refused
    assert "Traceback" not in refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-x-"], "No such option"),
        (["two words"], "cannot name a distribution"),
        (["lambda"], "Python does not allow"),
        (["json"], "Python does not allow"),
        (["2d"], "Python does not allow"),
        (["numpy"], 'a package "numpy" is installed here'),
        (["bicerin-pooling"], '"Pooling" is brought by bicerin-pooling'),
        (["fancy", "--layer", "no-word"], "must be a word"),
        (["fancy", "--layer", "Tile"], "is brought by bicerin-structure"),
        (["fancy", "--layer", "Layer"], "the message LayerParameter, which Caffe's schema has"),
        (["fancy", "--layer", "Transform"], "the field transform_param, which Caffe's schema has"),
    ],
)
def test_names_that_cannot_be(core_alone: Environment, arguments: list[str], said: str, tmp_path: Path) -> None:
    refused = core_alone.bicerin("plugins", "new", *arguments, cwd=tmp_path, status=2).stderr
    assert said in refused
    assert not list(tmp_path.iterdir())
