"""tools/release.py: one version for all distributions, and what it must not publish."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))  # it is a script, installed nowhere

import release
from release import ROOT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that say a version."""
    files = [one.folder / "pyproject.toml" for one in release.distributions()]
    for file in [*files, ROOT / release.CODE, ROOT / release.TEMPLATE]:
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_versions_and_bounds_agree() -> None:
    assert release.version()


def test_there_is_a_distribution_for_each_folder() -> None:
    names = [one.name for one in release.distributions()]
    assert sorted(names) == sorted({"bicerin", "bicerin-proto", *(f"bicerin-{p.name}" for p in ROOT.glob("plugins/*"))})
    assert names[:2] == ["bicerin-proto", "bicerin"]
    for first, second in (("convolution", "mobile"), ("data", "ssd"), ("python", "caffe")):
        assert names.index(f"bicerin-{first}") < names.index(f"bicerin-{second}")


@pytest.mark.parametrize(
    ("version", "bounds"),
    [("0.1.0", ">=0.1,<0.2"), ("0.9.3", ">=0.9,<0.10"), ("1.0.0", ">=1.0,<1.1"), ("0.2.0rc1", ">=0.2.0rc1,<0.3")],
)
def test_bounds(version: str, bounds: str) -> None:
    assert release.bounds(version) == bounds


@pytest.mark.parametrize("new", ["0.7.2", "1.0.0rc1"])
def test_a_new_version_is_set_everywhere(copy: Path, new: str) -> None:
    changed = release.set_version(new, copy)
    assert release.version(copy) == new
    assert {file.relative_to(copy) for file in changed} >= {release.CODE, release.TEMPLATE}
    assert len(changed) == len(release.distributions()) + 2
    for file in changed:
        text, before = file.read_text(), (ROOT / file.relative_to(copy)).read_text()
        assert len(text.splitlines()) == len(before.splitlines())
        assert "<0.2" not in text
    template = release.Distribution((copy / release.TEMPLATE).parent)
    assert template.project["version"] == "0.1.0", "that of a package which is begun"
    assert f'"bicerin{release.bounds(new)}"' in (copy / release.TEMPLATE).read_text()
    assert release.set_version(new, copy) == []


def test_versions_that_differ_are_named(copy: Path) -> None:
    replace(copy / "plugins/ssd/pyproject.toml", 'version = "0.', 'version = "9.')
    with pytest.raises(release.ReleaseError, match=r"the versions differ:(.|\n)*plugins/ssd: 9\."):
        release.version(copy)


def test_bounds_that_are_wrong_are_named(copy: Path) -> None:
    release.set_version("0.4.0", copy)
    replace(copy / "plugins/ssd/pyproject.toml", "bicerin-data>=0.4,<0.5", "bicerin-data>=0.3,<0.5")
    with pytest.raises(release.ReleaseError, match=r"must be >=0.4,<0.5:\n  plugins/ssd/pyproject.toml: bicerin-data"):
        release.version(copy)
    replace(copy / "plugins/ssd/pyproject.toml", "bicerin-data>=0.3,<0.5", "bicerin-data")
    with pytest.raises(release.ReleaseError, match=r"plugins/ssd/pyproject\.toml: bicerin-data$"):
        release.set_version("0.4.1", copy)


def test_nothing_is_written_where_a_version_is_not_found(copy: Path) -> None:
    replace(copy / release.CODE, "__version__ = ", "version_ = ")
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    with pytest.raises(release.ReleaseError, match=r"__init__\.py: 0 lines"):
        release.set_version("0.4.0", copy)
    assert {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()} == before


def test_a_version_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["version", "new"]) == 1
    assert "Invalid version: 'new'" in capsys.readouterr().err


def test_an_empty_wheel_is_not_published(tmp_path: Path) -> None:
    one = release.distributions()[0]
    with zipfile.ZipFile(tmp_path / "bicerin_proto-0.1.0-py3-none-any.whl", "w") as wheel:
        metadata = "Metadata-Version: 2.4\nName: bicerin-proto\nVersion: 0.1.0\nAuthor: somebody\n"
        wheel.writestr("bicerin_proto-0.1.0.dist-info/METADATA", metadata)
    found = release.problems(Path(wheel.filename or ""), one)
    assert "does not contain the repository's LICENSE" in found
    assert "bicerin_proto has no py.typed" in found
    assert "its metadata has no licence" in found
    assert "its metadata has no author" not in found


def test_a_folder_with_something_else_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "bicerin-0.0.1.tar.gz").write_bytes(b"")
    with pytest.raises(release.ReleaseError) as refused:
        release.check(tmp_path)
    said = str(refused.value).splitlines()
    assert "bicerin-0.0.1.tar.gz: is not one of ours, or of another version" in said
    assert sum("is missing" in line for line in said) == 2 * len(release.distributions())
