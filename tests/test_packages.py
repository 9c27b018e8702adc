"""What is said about the packages of this repository is so: who brings what, who needs what, what descriptors hold."""

from __future__ import annotations

import ast
import configparser
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from bicerin.cli.lazy_group import commands
from bicerin_proto import Schema, check_current
from bicerin_proto.distribution import fields, layer_distribution, layer_types
from bicerin_proto.fragment import Fragment

ROOT = Path(__file__).parents[1]
FOLDERS = [ROOT / "proto", ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
PROJECTS = {folder: tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"] for folder in FOLDERS}
#: Module -> distribution, for those of this repository.
OURS = {
    path.stem: project["name"]
    for folder, project in PROJECTS.items()
    for path in (folder / "src").iterdir()
    if path.suffix == ".py" or (path / "__init__.py").is_file()
}
#: Module -> distributions that bring it, where the names differ.
BROUGHT_BY = {
    "PIL": {"pillow"},
    "cupy": {"cupy-cuda12x", "cupy-cuda13x"},
    "cv2": {"opencv-python-headless"},
    "google.protobuf": {"protobuf"},
    "importlib_metadata": {"importlib-metadata"},
    "skimage": {"scikit-image"},
}
#: Imports that no requirement can bring.
BROUGHT_BY_NOBODY = {
    "bicerin-caffe": {"selective_search_ijcv_with_python"},  # its authors' MATLAB code, as for pycaffe's Detector
}
#: Requirements that are not imported, and why they are there.
NOT_IMPORTED = {
    ("bicerin-tensorboard", "pillow"): "tensorboardX makes its pictures with it",
    ("bicerin-data", "pyarrow"): "features go into Parquet by it, imported by its name",
    ("bicerin-caffe", "bicerin-data"): "its commands are those of bicerin-data",
    ("bicerin-caffe", "six"): "scripts written for pycaffe import it",
    ("bicerin-mpi", "mpich"): "mpi4py loads its library, and its mpiexec starts the processes",
    ("bicerin-mpi", "openmpi"): "mpi4py loads its library, and its mpirun starts the processes",
    ("bicerin-onednn", "onednn-cpu-gomp"): "a library in C, which ctypes loads",
    ("bicerin-proto", "grpcio-tools"): "runs as python -m grpc_tools.protoc",
}

SCHEMAS = sorted(
    path for folder in FOLDERS for path in folder.glob("src/**/*.proto") if path.with_suffix(".binpb").is_file()
)
PACKS = {path.parent.name.replace("_", "-"): path for path in SCHEMAS if ROOT / "plugins" in path.parents}


def test_the_schemas_are_found() -> None:
    assert {"caffe.proto", "rcnn.proto", "ssd.proto", "mobile.proto", "forks.proto"} <= {path.name for path in SCHEMAS}


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_compiled_schemas_are_current(path: Path) -> None:
    assert check_current(path), f"compile it: bicerin plugins proto {path.relative_to(ROOT)}"


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_every_compiled_schema_is_an_entry_point(path: Path) -> None:
    folder = next(parent for parent in path.parents if (parent / "pyproject.toml").is_file())
    groups = tomllib.loads((folder / "pyproject.toml").read_text())["project"].get("entry-points", {})
    stated = set(groups.get("bicerin.schemas", {}).values())
    own = path.parent.name == "bicerin_proto"
    assert own or f"{path.parent.name}:{path.stem}.binpb" in stated


def test_layers_are_known_by_their_distribution() -> None:
    brought = {}
    for file in chain([ROOT / "core" / "pyproject.toml"], ROOT.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(file.read_text())["project"]
        brought |= dict.fromkeys(project.get("entry-points", {}).get("bicerin.layers", {}), project["name"])
    assert {name: layer_distribution(name) for name in layer_types()} == brought


def test_commands_are_known_by_their_distribution() -> None:
    """Where a package is not installed, its command's name says what to install."""
    brought = {}
    for file in ROOT.glob("plugins/*/pyproject.toml"):
        project = tomllib.loads(file.read_text())["project"]
        brought |= dict.fromkeys(project.get("entry-points", {}).get("bicerin.commands", {}), project["name"])
    assert brought
    assert {name: commands.known(name) for name in brought} == brought


def test_fields_are_known_by_their_distribution() -> None:
    brought = {
        added: distribution
        for distribution, path in PACKS.items()
        for added in Schema.merged([Fragment(distribution, path.with_suffix(".binpb").read_bytes())]).added
        if "." not in added[0]  # in a message of its own, which nobody misses where the package is not installed
    }
    assert fields() == brought


def imports(folder: Path) -> set[str]:
    """The modules that a package's code imports, wherever in it, that are neither Python's nor its own."""
    own = {path.stem for path in (folder / "src").iterdir()}
    found = set()
    for file in (folder / "src").rglob("*.py"):
        if "template" not in file.relative_to(folder).parts:
            # What to_torch.py has for a file that is written, that file imports.
            found |= set(_imported(ast.parse(file.read_text("utf-8")))) - (
                {"torch"} if file.name == "to_torch.py" else set()
            )
    return {module for module in found if module not in own and module not in sys.stdlib_module_names}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield ".".join(parts[:2]) if parts[0] == "google" else parts[0]  # google is a namespace of many


def bring(module: str) -> set[str]:
    """The distributions that bring a module, any of which will do."""
    return BROUGHT_BY.get(module) or {OURS.get(module, module)}


def required(project: dict[str, Any]) -> list[Requirement]:
    """What a distribution asks for, with and without extras."""
    extras = project.get("optional-dependencies", {}).values()
    return [Requirement(text) for texts in (project["dependencies"], *extras) for text in texts]


def brought_by_extras(project: dict[str, Any]) -> set[str]:
    """What comes with the extras that it asks of others of ours: bicerin[fast] is how a plugin asks for Numba."""
    siblings = {other["name"]: other.get("optional-dependencies", {}) for other in PROJECTS.values()}
    asked = [(one.name, extra) for one in required(project) for extra in one.extras if one.name in siblings]
    return {Requirement(text).name for name, extra in asked for text in siblings[name][extra]}


by_name = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: PROJECTS[folder]["name"])


@by_name
def test_what_is_imported_is_required(folder: Path) -> None:
    project = PROJECTS[folder]
    names = {one.name for one in required(project)} | brought_by_extras(project)
    missing = {module for module in imports(folder) if not bring(module) & names}
    assert missing == BROUGHT_BY_NOBODY.get(project["name"], set())


@by_name
def test_what_is_required_is_imported(folder: Path) -> None:
    project = PROJECTS[folder]
    used = {name for module in imports(folder) for name in bring(module)}
    used |= {"bicerin"} if any(group.startswith("bicerin.") for group in project.get("entry-points", {})) else set()
    used |= {name for distribution, name in NOT_IMPORTED if distribution == project["name"]}
    # An extra of others of ours, such as bicerin[standard], is there to install them.
    bundled = {Requirement(text).name for texts in project.get("optional-dependencies", {}).values() for text in texts}
    assert {one.name for one in required(project)} - used - (bundled & set(OURS.values())) == set()


@pytest.mark.parametrize("folder", [one for one in FOLDERS if one.parent.name == "plugins"], ids=lambda one: one.name)
def test_the_files_of_a_plugin_do_not_import_each_other_in_a_circle(folder: Path) -> None:
    """Imports in functions and for type checkers count too."""
    source = folder / "src"
    files = {".".join(path.relative_to(source).with_suffix("").parts): path for path in source.rglob("*.py")}
    graph = {}
    for name, path in files.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
        imported = {node.module or "" for node in nodes}
        imported |= {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        graph[name] = imported & files.keys()
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_a_library_is_required_in_the_same_versions_by_all() -> None:
    asked: dict[str, dict[str, list[str]]] = {}
    for project in PROJECTS.values():
        for one in required(project):
            if one.name not in OURS.values() and not one.marker:
                asked.setdefault(one.name, {}).setdefault(str(one.specifier), []).append(project["name"])
    assert {name: bounds for name, bounds in asked.items() if len(bounds) > 1} == {}


@by_name
def test_a_distribution_says_what_it_is(folder: Path) -> None:
    project = PROJECTS[folder]
    assert (folder / project["readme"]).read_text("utf-8").startswith(f"# {project['name']}\n")
    vendored = sorted(path.relative_to(folder) for path in folder.glob("src/*/vendor/*.LICENSE"))
    assert project["license"] == ("BSD-3-Clause AND MIT" if vendored else "BSD-3-Clause")
    assert project["license-files"][0] == "LICENSE"
    assert (
        sorted(path.relative_to(folder) for glob in project["license-files"][1:] for path in folder.glob(glob))
        == vendored
    )
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert project["authors"] == [{"name": "Bicerin contributors"}]
    assert project["description"] and project["keywords"]
    assert set(project["urls"]) == {"Homepage", "Documentation", "Changelog", "Issues"}
    minors = [text.rpartition(".")[2] for text in project["classifiers"] if ":: Python :: 3." in text]
    assert [int(minor) for minor in minors] == [11, 12, 13, 14]
    assert "Typing :: Typed" in project["classifiers"]
    packages = [path.parent for path in folder.glob("src/*/__init__.py")]
    assert packages and all((package / "py.typed").is_file() for package in packages)


def test_pytest_finds_no_plugin_of_ours_unasked() -> None:
    """A project that has Bicerin installed may have an option --device and a fixture `device` of its own."""
    assert [project["name"] for project in PROJECTS.values() if "pytest11" in project.get("entry-points", {})] == []


def test_every_numba_that_is_allowed_has_a_test_environment() -> None:
    """And so a newer one is not allowed before it was tried."""
    (numba,) = (one for one in required(PROJECTS[ROOT / "core"]) if one.name == "numba")
    allowed = {minor for minor in range(200) if numba.specifier.contains(f"0.{minor}.0")}
    tried = re.findall(r"^ +numba0(\d+): numba==0\.\1\.\*$", (ROOT / "tox.ini").read_text("utf-8"), re.MULTILINE)
    assert allowed == set(map(int, tried))
    assert not numba.specifier.contains("1.0")
    internals = (ROOT / "core/src/bicerin/kernels/numba_internals.py").read_text("utf-8")
    (first, last) = re.findall(r"\(0, (\d+)\)", re.search(r"^TRIED = .*$", internals, re.MULTILINE)[0])  # type: ignore[index]
    assert (int(first), int(last)) == (min(allowed), max(allowed))


#: What Numba and llvmlite do not promise to keep: modules, and attributes of dispatchers, contexts and types.
PUBLIC_MODULES = {"numba", "numba.extending", "llvmlite"}
INNER_NAMES = {
    *("_cache", "_cache_file", "call_conv", "declare_function", "fndesc", "get_call_type", "get_dummy_value"),
    *("get_value_type", "make_array", "make_tuple", "overloads", "reload_config", "targetoptions"),
}


def test_the_inner_parts_of_numba_are_used_in_one_file() -> None:
    users = {}
    for path in sorted(ROOT.glob("*/src/**/*.py")) + sorted(ROOT.glob("plugins/*/src/**/*.py")):
        used = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                used |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Attribute) and node.attr in INNER_NAMES:
                used.add(node.attr)
        modules = {name for name in used if re.match(r"(numba|llvmlite)(\.(core|np|binding|ir|misc|typed)|$)", name)}
        if found := (modules - PUBLIC_MODULES) | (used & INNER_NAMES):
            users[path.name] = found
    assert set(users) == {"numba_internals.py"}, users


def test_no_plugin_chooses_by_the_array_module() -> None:
    """What a device runs is an operation's form, which `self.ops` has chosen: there is no second way to choose."""
    choices = []
    for path in sorted(ROOT.glob("plugins/*/src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                if {"np", "numpy"} & set(sides):
                    choices.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not choices, "\n".join(choices)


def test_every_package_has_a_test_environment() -> None:
    stated = (ROOT / "tox.ini").read_text("utf-8")
    for folder in (ROOT / "plugins").iterdir():
        assert f"\n    {folder.name}: {folder.name}\n" in stated or f"\n[testenv:{folder.name}" in stated, folder


def test_environments_install_what_packages_require() -> None:
    """What a package of ours requires of ours comes from the same clone: an index has another version, or none."""
    found = configparser.ConfigParser(interpolation=None)
    found.read(ROOT / "tox.ini")
    named = re.findall(r"^ *([\w-]+): \S+$", found["plugin"]["folder"], re.MULTILINE)
    assert len(named) > 15
    environments = {name: _installed(found, "testenv", name) for name in named}
    environments |= {name: _installed(found, name, "") for name in found.sections() if name.startswith("testenv:")}
    missing = {
        f"{name}: {one}"
        for name, installed in environments.items()
        for requirement in installed.values()
        for one in _of_ours(requirement)
        if one not in installed
    }
    assert missing == set()


def _installed(tox: configparser.ConfigParser, section: str, factor: str) -> dict[str, Requirement]:
    """The distributions of ours that an environment installs, with their extras."""
    found: dict[str, Requirement] = {}
    for line in tox.get(section, "deps", fallback="").splitlines():
        factors, _, rest = line.rpartition(": ") if re.match(r"[\w,-]+: ", line) else ("", "", line)
        if factors and factor not in factors.split(","):
            continue
        if (other := re.fullmatch(r"\{\[([\w:]+)\]deps\}", rest)) is not None:
            found |= _installed(tox, other[1], factor)
        elif rest.startswith("-e {toxinidir}/"):
            folder, _, extras = rest.removeprefix("-e {toxinidir}/").replace("{[plugin]folder}", factor).partition("[")
            name = PROJECTS[ROOT / folder]["name"]
            found[name] = Requirement(f"{name}[{extras.rstrip(']')}]")
    return found


def _of_ours(requirement: Requirement) -> set[str]:
    project = next(one for one in PROJECTS.values() if one["name"] == requirement.name)
    texts = [*project["dependencies"]]
    for extra in requirement.extras:
        texts += project["optional-dependencies"][extra]
    return {Requirement(text).name for text in texts} & {one["name"] for one in PROJECTS.values()}
