"""The steps of a release; RELEASING.md has their order.

    python tools/release.py version          print the version; fails where distributions disagree
    python tools/release.py version 0.2.0    set it in all of them, with their bounds on each other
    python tools/release.py changelog        gather the fragments of changelog.d into CHANGELOG.md
    python tools/release.py build            a wheel and an sdist of each distribution, into dist/
    python tools/release.py check            what is in them, and whether PyPI would show it well
    python tools/release.py smoke            install the wheels where there is no repository, and use them
    python tools/release.py all              build, check, smoke

All distributions have one version, and take each other from the same minor version only: 0.2.x with 0.2.x. Needs what
the environment `release` of tox.ini has: `tox run -e release -- version 0.2.0`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]
Completed = subprocess.CompletedProcess[str]

#: Where the core says its version, and what `bicerin plugins new` writes, which asks for the core.
CODE = Path("core/src/bicerin/__init__.py")
TEMPLATE = Path("core/src/bicerin/template/pyproject.toml")

_VERSION = re.compile(r'^(version|__version__) = "([^"]+)"$', re.MULTILINE)
#: A requirement of one of ours that has bounds: the name with its extras, the bounds.
_SIBLING = re.compile(r'"(bicerin(?:-[a-z]+)*(?:\[[a-z0-9,-]+\])?)([<>=!~][^";]*)')


class ReleaseError(Exception):
    """Something that must not be published; says what, where, and what would be right."""


@dataclass(frozen=True)
class Distribution:
    """A folder with a pyproject.toml that something is built from."""

    folder: Path

    @cached_property
    def project(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))["project"]

    @property
    def name(self) -> str:
        return self.project["name"]

    @property
    def requirements(self) -> list[Requirement]:
        """All that it asks for, extras included."""
        extras = self.project.get("optional-dependencies", {}).values()
        return [Requirement(text) for texts in (self.project.get("dependencies", []), *extras) for text in texts]

    @property
    def is_plugin(self) -> bool:
        """Whether `bicerin plugins check` knows it."""
        return any(group.startswith("bicerin.") for group in self.project.get("entry-points", {}))

    def entry_points(self, group: str) -> dict[str, str]:
        return self.project.get("entry-points", {}).get(group, {})

    @property
    def packages(self) -> list[str]:
        """The packages that it brings, by what is in its folder `src`."""
        return sorted(path.parent.name for path in self.folder.glob("src/*/__init__.py"))


def distributions(root: Path = ROOT) -> list[Distribution]:
    """All of this repository, each after those that it depends on, which is the order to publish them in."""
    folders = [root / "proto", root / "core", *sorted(path.parent for path in root.glob("plugins/*/pyproject.toml"))]
    waiting = {one.name: one for one in map(Distribution, folders)}
    ordered: list[Distribution] = []
    while waiting:
        free = [one for one in waiting.values() if not waiting.keys() & _needed(one)]
        if not free:
            raise ReleaseError(f"these depend on each other in a circle: {', '.join(sorted(waiting))}.")
        ordered += free
        for one in free:
            del waiting[one.name]
    return ordered


def _needed(distribution: Distribution) -> set[str]:
    """What it cannot do without; extras, of which the core's name its plugins, come later."""
    return {canonicalize_name(Requirement(text).name) for text in distribution.project.get("dependencies", [])}


# The version


def bounds(version: str) -> str:
    """What distributions of this version ask of each other: 0.2.1 -> >=0.2,<0.3; 0.2.0rc1 -> >=0.2.0rc1,<0.3."""
    parsed = Version(version)
    least = str(parsed) if parsed.is_prerelease else f"{parsed.major}.{parsed.minor}"
    return f">={least},<{parsed.major}.{parsed.minor + 1}"


def version(root: Path = ROOT) -> str:
    """The version of all distributions.

    Raises:
        ReleaseError: they disagree, or one's bounds on another are not those of the version.
    """
    said = {str(CODE): _said(root / CODE)}
    said |= {str(one.folder.relative_to(root)): one.project["version"] for one in distributions(root)}
    if len(set(said.values())) > 1:
        raise ReleaseError("the versions differ:\n" + "\n".join(f"  {where}: {what}" for where, what in said.items()))
    (one_version,) = set(said.values())
    wrong = _wrong_bounds(root, bounds(one_version))
    if wrong:
        raise ReleaseError(f"for {one_version} the bounds must be {bounds(one_version)}:\n" + "\n".join(wrong))
    return one_version


def _said(file: Path) -> str:
    found = _VERSION.search(file.read_text("utf-8"))
    if found is None:
        raise ReleaseError(f"{file}: there is no line that sets __version__.")
    return found[2]


def _wrong_bounds(root: Path, right: str) -> list[str]:
    everyone, template = distributions(root), Distribution((root / TEMPLATE).parent)
    names, wrong = {one.name for one in everyone}, []
    for one in (*everyone, template):
        for asked in one.requirements:
            # The template bounds the core once, and asks for extras without.
            free = one is template and asked.extras and not asked.specifier
            if asked.name in names - {one.name} and not free and asked.specifier != SpecifierSet(right):
                wrong.append(f"  {(one.folder / 'pyproject.toml').relative_to(root)}: {asked}")
    return wrong


def set_version(new: str, root: Path = ROOT) -> list[Path]:
    """Set the version of all distributions and their bounds on each other; returns the files that changed.

    Raises:
        ReleaseError: a file does not state its version in one line, and nothing is written; or a distribution asks for
            another one without bounds.
    """
    new = str(Version(new))
    texts = {root / CODE: _with_version(root / CODE, new)}
    for one in distributions(root):
        file = one.folder / "pyproject.toml"
        texts[file] = _SIBLING.sub(rf'"\1{bounds(new)}', _with_version(file, new))
    # Its own version is its author's.
    texts[root / TEMPLATE] = _SIBLING.sub(rf'"\1{bounds(new)}', (root / TEMPLATE).read_text("utf-8"))
    changed = [file for file, text in texts.items() if file.read_text("utf-8") != text]
    for file in changed:
        beside = file.with_name(f".{file.name}.new")
        beside.write_text(texts[file], "utf-8")
        os.replace(beside, file)
    version(root)
    return changed


def _with_version(file: Path, new: str) -> str:
    text, times = _VERSION.subn(rf'\1 = "{new}"', file.read_text("utf-8"))
    if times != 1:
        raise ReleaseError(f"{file}: {times} lines that look like its version; there must be one.")
    return text


# Wheels and sdists


def build(target: Path) -> None:
    """Build a wheel and an sdist of each distribution; the wheel from what is in the sdist."""
    version()
    if changes := _run("git", "status", "--porcelain", cwd=ROOT).stdout.strip():
        print(f"Note: built with what is not committed:\n{changes}")
    target.mkdir(exist_ok=True)
    for old in (*target.glob("*.whl"), *target.glob("*.tar.gz")):
        old.unlink()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: _uv("build", "--out-dir", target, one.folder), distributions()))
    print(f"{len(list(target.glob('*.whl')))} wheels and {len(list(target.glob('*.tar.gz')))} sdists in {target}")


def check(target: Path) -> None:
    """Look into wheels and sdists: all there, nothing else, licence, metadata, contents.

    Raises:
        ReleaseError: with all that is wrong.
    """
    one_version = version()
    expected: dict[str, Distribution] = {}
    wrong: list[str] = []
    for one in distributions():
        stem = f"{one.name.replace('-', '_')}-{one_version}"
        expected |= {f"{stem}-py3-none-any.whl": one, f"{stem}.tar.gz": one}
    there = {path.name for path in (*target.glob("*.whl"), *target.glob("*.tar.gz"))}
    wrong += [f"{name}: is missing" for name in sorted(expected.keys() - there)]
    wrong += [f"{name}: is not one of ours, or of another version" for name in sorted(there - expected.keys())]
    for name in sorted(expected.keys() & there):
        wrong += [f"{name}: {problem}" for problem in problems(target / name, expected[name])]
    if wrong:
        raise ReleaseError("\n".join(wrong))
    files = [target / name for name in sorted(there)]
    said = _run(sys.executable, "-m", "twine", "check", "--strict", *files).stdout
    print(f"twine: {said.count('PASSED')} of {len(files)} passed")
    wheels = [file for file in files if file.suffix == ".whl"]
    _run(sys.executable, "-m", "check_wheel_contents", "--config", ROOT / "pyproject.toml", *wheels)
    print(f"check-wheel-contents: {len(wheels)} of {len(wheels)} passed")


def problems(file: Path, distribution: Distribution) -> list[str]:
    """What is wrong with a wheel or sdist of this distribution: a sentence for each fault."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            contents = {name: wheel.read(name) for name in wheel.namelist()}
        head, folder = next(name for name in contents if name.endswith(".dist-info/METADATA")), "licenses/LICENSE"
    else:
        with tarfile.open(file) as sdist:
            members = [member for member in sdist.getmembers() if member.isfile()]
            contents = {member.name: sdist.extractfile(member).read() for member in members}  # type: ignore[union-attr]
        head, folder = f"{file.name.removesuffix('.tar.gz')}/PKG-INFO", "LICENSE"
    found = []
    if contents.get(f"{head.rpartition('/')[0]}/{folder}") != (ROOT / "LICENSE").read_bytes():
        found.append("does not contain the repository's LICENSE")
    for package in distribution.packages:
        if not any(name.endswith(f"{package}/py.typed") for name in contents):
            found.append(f"{package} has no py.typed")
    try:
        metadata = Metadata.from_email(contents[head])
    except ExceptionGroup as errors:
        return [*found, *map(str, errors.exceptions)]
    stated = {
        "licence": metadata.license_expression,
        "licence file": metadata.license_files,
        "author": metadata.author,
        "URLs": metadata.project_urls,
        "keywords": metadata.keywords,
        "bound on Python": metadata.requires_python,
        "description, its README": metadata.description,
    }
    return found + [f"its metadata has no {what}" for what, value in stated.items() if not value]


# The smoke test

#: A small net, and what it computes: nine ones under a kernel of ones; 9 everywhere; 9 * 2 channels / 2; equal chances.
NET = """
name: "smoke"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "constant" value: 1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: MAX kernel_size: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
        inner_product_param { num_output: 4 weight_filler { type: "constant" value: 0.5 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""

FORWARD = """
import pathlib, sys
import numpy as np
import bicerin, caffe

net = bicerin.Net("net.prototxt", phase="TEST")
prob = net.forward(data=np.ones((1, 1, 4, 4)))["prob"]
assert (net.blobs["conv"].data == 9).all(), net.blobs["conv"].data
assert (net.blobs["ip"].data == 9).all(), net.blobs["ip"].data
assert (prob == 0.25).all(), prob
twin = caffe.Net("net.prototxt", caffe.TEST)
twin.blobs["data"].data[...] = 1
assert (twin.forward()["prob"] == prob).all()
for module in (bicerin, caffe):
    assert pathlib.Path(module.__file__).is_relative_to(sys.prefix), module.__file__
print(bicerin.__version__, prob.shape)
"""


def smoke(target: Path) -> None:
    """Install the wheels of `target`, and from PyPI what they need, into a new environment; then use them there."""
    one_version, everyone = version(), distributions()
    wheels = sorted(target.glob(f"*-{one_version}-*.whl"))
    if len(wheels) != len(everyone):
        raise ReleaseError(f"{target} has {len(wheels)} wheels of {one_version}, not {len(everyone)}: build first.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        programs = folder / "environment" / "bin"
        _uv("venv", "--python", sys.executable, folder / "environment")
        # Each by its path: what PyPI has under these names, if anything, is not what is tried.
        _uv("pip", "install", "--python", programs / "python", *(wheel.resolve() for wheel in wheels))
        _uv("pip", "check", "--python", programs / "python")
        print(f"installed: {len(wheels)} wheels, and what they need")
        (folder / "net.prototxt").write_text(NET)
        said = _run(programs / "python", "-c", FORWARD, cwd=folder).stdout
        print(f"a small net, also through caffe: {said.strip()}")
        for name in sorted(name for one in everyone for name in one.project.get("scripts", {})):
            # 1: Caffe's own commands end so, as Caffe's did.
            helped = _run(programs / name, "--help", cwd=folder, statuses=(0, 1))
            if "usage:" not in (helped.stdout + helped.stderr).lower():
                raise ReleaseError(f"{name} --help prints no usage.")
            print(f"{name} --help: prints its usage")
        listed = json.loads(_run(programs / "bicerin", "plugins", "list", "--json", cwd=folder).stdout)
        found = {(row["type"], row["distribution"]) for row in listed["layers"]}
        brought = {(layer, one.name) for one in everyone for layer in one.entry_points("bicerin.layers")}
        if found != brought:
            raise ReleaseError(f"bicerin plugins list: wrong is {sorted(found ^ brought)}.")
        print(f"bicerin plugins list: all {len(found)} layer types")
        for one in everyone:
            if not one.is_plugin:
                continue
            # On the CPU: g++, which the emulated device needs, is not asked for here.
            checked = _run(programs / "bicerin", "plugins", "check", one.name, "--device", "cpu", cwd=folder).stdout
            print(f"bicerin plugins check {one.name}: {checked.strip().splitlines()[-1]}")


def _uv(*arguments: str | Path) -> None:
    _run(sys.executable, "-m", "uv", "--quiet", "--no-config", *arguments)


def _run(*command: str | Path, cwd: Path | None = None, statuses: tuple[int, ...] = (0,)) -> Completed:
    """Run a command in an environment that knows nothing of this one.

    Raises:
        ReleaseError: it ended with another status than these; says what it printed.
    """
    foreign = ("PYTHON", "BICERIN", "VIRTUAL_ENV", "NUMBA")
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode not in statuses:
        shown = " ".join(map(str, command))
        raise ReleaseError(f"{shown}\nended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", metavar="FOLDER", help="by default dist/")
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    steps.add_parser("version").add_argument("new", nargs="?", metavar="VERSION")
    for name in ("changelog", "build", "check", "smoke", "all"):
        steps.add_parser(name)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.step == "version" and chosen.new:
            for file in set_version(chosen.new):
                print(file.relative_to(ROOT))
        elif chosen.step == "version":
            print(version())
        elif chosen.step == "changelog":
            _run(sys.executable, "-m", "towncrier", "build", "--yes", "--version", version(), cwd=ROOT)
        for name, step in (("build", build), ("check", check), ("smoke", smoke)):
            if chosen.step in (name, "all"):
                step(chosen.dist)
    except (ReleaseError, InvalidVersion) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
