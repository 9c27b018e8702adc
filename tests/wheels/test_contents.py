"""What is in our own wheels and sdists."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from clean_environment import ROOT, uv

sys.path.insert(0, str(ROOT / "tools"))

import release


def test_wheels_have_the_licence_and_say_what_they_are(wheelhouse: Path) -> None:
    wheels = {file.name.partition("-")[0]: file for file in wheelhouse.glob("*.whl")}
    everyone = {one.name.replace("-", "_"): one for one in release.distributions()}
    assert wheels.keys() == everyone.keys()
    assert {name: found for name, file in wheels.items() if (found := release.problems(file, everyone[name]))} == {}


@pytest.mark.parametrize("package", ["core", "proto", "plugins/caffe"])
def test_an_sdist_has_all_that_its_wheel_has(package: str, wheelhouse: Path, tmp_path: Path) -> None:
    uv("build", "--out-dir", tmp_path, ROOT / package)  # the wheel is made from the sdist
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(wheelhouse / wheel.name) as direct:
        assert sorted(ours.namelist()) == sorted(direct.namelist())
    (sdist,) = tmp_path.glob("*.tar.gz")
    assert release.problems(sdist, release.Distribution(ROOT / package)) == []
