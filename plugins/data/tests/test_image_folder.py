"""A folder with a folder for each class, its split, and `bicerin list-images`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bicerin.cli.command_line import command_line
from bicerin.errors import DataError, MissingDataError
from bicerin_data.image_folder import read_image_folder
from bicerin_data.image_list import read_image_list


@pytest.fixture
def folder(tmp_path):
    """Classes b (10 images), c d (4) and a (1); and what is none."""
    for name in (
        *(f"b/{number:02d}.png" for number in range(10)),
        *(f"c d/{number}.JPG" for number in range(3)),
        "c d/inside/3.jpeg",
        "a/only.bmp",
        "b/notes.txt",
        "b/.hidden.png",
        "c d/.thumbnails/0.png",
        ".git/x.png",
        "empty/readme.md",
        "top.png",
    ):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "images"


def test_classes_are_folders(folder):
    found = read_image_folder(folder)
    assert found.labels == ["a", "b", "c d"]
    assert found.lines[0] == ("a/only.bmp", 0)
    assert found.lines[11:] == [("c d/0.JPG", 2), ("c d/1.JPG", 2), ("c d/2.JPG", 2), ("c d/inside/3.jpeg", 2)]
    assert found.counts(found.lines) == [1, 10, 4]


@pytest.mark.parametrize(("part", "numbers"), [(0.2, [0, 2, 1]), (0.5, [0, 5, 2]), (0.99, [0, 9, 3]), (0.0, [0, 0, 0])])
def test_a_split_has_all_classes_on_both_sides(part, numbers, folder):
    found = read_image_folder(folder)
    training, validation = found.split(part, seed=3)
    assert sorted(training + validation) == sorted(found.lines)
    assert found.counts(validation) == numbers
    assert (training, validation) == found.split(part, seed=3) != found.split(part, seed=4)
    assert training != sorted(training)


def test_what_is_over_is_trained_on(folder):
    found = read_image_folder(folder)
    training, validation = found.split(0.5, seed=1, multiple_of=4)
    assert len(validation) == 4 and sorted(training + validation) == sorted(found.lines)
    assert len(found.split(0.5, seed=1, multiple_of=50)[1]) == 7


def test_what_is_no_folder_of_classes(folder, tmp_path):
    with pytest.raises(MissingDataError, match="there is no folder"):
        read_image_folder(tmp_path / "none")
    with pytest.raises(DataError, match="no folders with images in them"):
        read_image_folder(folder / "b")
    (folder / "b" / "two\nlines.png").touch()
    with pytest.raises(DataError, match="cannot stand in a list"):
        read_image_folder(folder)


def run(*arguments, status=0):
    result = CliRunner().invoke(command_line, ["list-images", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


def test_lists(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run(folder, "train.txt", "validation.txt", "--labels", "labels.txt", "--seed", 3).stdout
    training, validation = read_image_folder(folder).split(0.2, seed=3)
    assert read_image_list(Path("train.txt")) == training
    assert read_image_list(Path("validation.txt")) == validation
    assert Path("labels.txt").read_text() == "a\nb\nc d\n"
    assert [line.split() for line in shown.splitlines()[2:]] == [
        ["0", "a", "1", "0"], ["1", "b", "8", "2"], ["2", "c", "d", "3", "1"]
    ]  # fmt: skip
    found = json.loads(run(folder, "all.txt", "--json").stdout)
    assert found[1] == {"label": 1, "name": "b", "all.txt": 10}
    assert sorted(read_image_list(Path("all.txt"))) == read_image_folder(folder).lines


def test_lists_that_cannot_be(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "of no file twice" in run(folder, "a.txt", "a.txt", status=2).stderr
    assert "of one list or of two" in run(folder, "a.txt", "b.txt", "c.txt", status=2).stderr
    assert "of no file twice" in run(folder, "a.txt", "--labels", "a.txt", status=2).stderr
    assert "there is no folder" in run("none", "a.txt", status=1).stderr
    assert not Path("a.txt").exists()
