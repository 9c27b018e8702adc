"""Discovery: one index from metadata; trouble with a plugin is trouble only for who uses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bicerin.discovery import configuration
from bicerin.discovery.registry import _layer_api, forget_plugins
from bicerin.errors import BicerinError, BrokenPluginError, ConflictError, IncompatiblePluginError, UnknownNameError
from bicerin.layer.layer import layers
from bicerin.net import hooks


def test_the_core_brings_two_layers() -> None:
    assert {"Input", "Split"} <= set(layers.providers())
    assert layers.provider("Input").distribution == "bicerin"


def test_an_unknown_name_says_what_is_close_and_who_was_asked(provided) -> None:
    with pytest.raises(UnknownNameError) as caught:
        layers.load("afine")
    text = str(caught.value)
    assert 'unknown layer type "afine". Did you mean "Affine"?' in text
    assert "test-plugin" in text


def test_the_right_case_is_suggested(provided) -> None:
    with pytest.raises(UnknownNameError, match='Did you mean "Input"'):
        layers.load("INPUT")


def test_a_known_type_names_the_distribution_to_install(provided) -> None:
    provided.index["bicerin.layers"].pop("Convolution", None)
    with pytest.raises(UnknownNameError, match="pip install bicerin-convolution"):
        layers.load("Convolution")


def test_two_providers_are_an_error_when_the_name_is_used(provided, tmp_path: Path, monkeypatch) -> None:
    provided.add("bicerin.layers", "Affine", "elsewhere:Other", "other-plugin", "2.1")
    with pytest.raises(ConflictError) as caught:
        layers.load("Affine")
    text = str(caught.value)
    assert "test-plugin 1.0" in text
    assert "other-plugin 2.1" in text
    assert "layer_providers" in text
    assert layers.load("Affine", {"Affine": "Test_Plugin"}).type == "Affine"
    with pytest.raises(UnknownNameError, match="asked of nobody, which does not bring it"):
        layers.load("Affine", {"Affine": "nobody"})
    file = tmp_path / "config.toml"
    file.write_text('[layer_providers]\nAffine = "test-plugin"\n')
    monkeypatch.setenv("BICERIN_CONFIG", str(file))
    assert layers.load("Affine").type == "Affine"


def test_a_broken_configuration_file_is_named(provided, tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text("layer_providers = 3\n")
    monkeypatch.setenv("BICERIN_CONFIG", str(file))
    with pytest.raises(BicerinError, match=r"config\.toml: \[layer_providers\] must map layer types"):
        configuration.layer_providers()
    file = tmp_path / "binary.toml"
    file.write_bytes(b'[layer_providers]\nAffine = "\xff"\n')
    monkeypatch.setenv("BICERIN_CONFIG", str(file))
    with pytest.raises(BicerinError, match=r"binary\.toml: is not text: byte 28 is not UTF-8"):
        configuration.layer_providers()


def test_settings_that_are_none_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setenv("BICERIN_CONFIG", str(file))
    assert not configuration.ignores_unknown_options()
    assert "config.toml, which is not a file" in caplog.text
    caplog.clear()
    file.write_text("ignore_unknown_options = true\n")
    assert configuration.ignores_unknown_options()
    assert not caplog.text
    monkeypatch.setenv("BICERIN_IGNORE_UNKNOWN_OPTIONS", "no")
    with pytest.raises(BicerinError, match="it must be 1 or 0"):
        configuration.ignores_unknown_options()
    monkeypatch.delenv("BICERIN_IGNORE_UNKNOWN_OPTIONS")
    other = tmp_path / "other.toml"
    other.write_text('ignore_unknown_options = "yes"\n')
    monkeypatch.setenv("BICERIN_CONFIG", str(other))
    with pytest.raises(BicerinError, match="true or false, not 'yes'"):
        configuration.ignores_unknown_options()


@pytest.mark.parametrize(
    ("value", "cause"),
    [("no_such_module_at_all:X", ModuleNotFoundError), ("json:NoSuchClass", AttributeError)],
)
def test_a_broken_plugin_chains_its_own_error(provided, value: str, cause: type) -> None:
    provided.add("bicerin.layers", "Broken", value, "broken-plugin", "0.3")
    with pytest.raises(BrokenPluginError, match=r"broken-plugin 0\.3 .*" + value) as caught:
        layers.load("Broken")
    assert isinstance(caught.value.__cause__, cause)


@pytest.mark.parametrize(("api", "advice"), [(2, "Upgrade bicerin"), (0, "Upgrade old-plugin")])
def test_another_layer_api_is_found_before_any_import(provided, api: int, advice: str) -> None:
    provided.add("bicerin.layers", "Future", "no_such_module_at_all:X", "old-plugin", "9", api)
    with pytest.raises(IncompatiblePluginError, match=advice):
        layers.load("Future")


def test_a_plugin_for_several_layer_apis_fits_where_one_of_them_is_the_cores() -> None:
    assert _layer_api({"1": "bicerin.layer", "2": "bicerin.layer"}) == 1
    assert _layer_api({"2": "bicerin.layer", "3": "bicerin.layer"}) == 3
    assert _layer_api({}) == 1


@pytest.fixture
def module(provided, tmp_path: Path, monkeypatch):
    """A function that makes a module of a plugin's."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("import nobody_has_this\n", 'It needs the module "nobody_has_this", which is not installed.'),
        ("class Wrong: pass\n", "is not a bicerin.Layer"),
        ("Wrong = 3\n", "is not a bicerin.Layer"),
        (
            "from bicerin.layer import *\nfrom bicerin.layer import Layer, BlobCounts\n"
            "class Wrong(Layer):\n    type = 'Right'\n    counts = BlobCounts()\n",
            'has the type "Right", but its entry point is named "Wrong"',
        ),
        ("from bicerin.layer import Layer\nclass Wrong(Layer):\n    type = 'Wrong'\n", "declares no counts"),
        (
            "from bicerin.layer import Layer, BlobCounts\n"
            "class Wrong(Layer):\n    type = 'Wrong'\n    counts = BlobCounts()\n",
            "does not implement reshape",
        ),
        (
            "from bicerin import NeuronLayer\nfrom bicerin.layer import ReadsTops\n"
            "class Wrong(NeuronLayer, ReadsTops):\n    type = 'Wrong'\n",
            "does not implement activate and reads_in_tops",
        ),
    ],
)
def test_what_is_not_the_layer_that_it_says(provided, module, text: str, said: str) -> None:
    module("wrong_layer", text)
    provided.add("bicerin.layers", "Wrong", "wrong_layer:Wrong", "wrong-plugin", "0.3")
    with pytest.raises(BrokenPluginError, match=r"wrong-plugin 0\.3") as caught:
        layers.load("Wrong")
    assert said in str(caught.value)


def test_choices_of_a_block_go_before_the_configuration_file(provided, tmp_path: Path, monkeypatch) -> None:
    provided.add("bicerin.layers", "Affine", "elsewhere:Other", "other-plugin", "2.1")
    (tmp_path / "config.toml").write_text('[layer_providers]\nAffine = "other-plugin"\n')
    monkeypatch.setenv("BICERIN_CONFIG", str(tmp_path / "config.toml"))
    with configuration.choosing({"Affine": "test-plugin"}):
        assert layers.provider("Affine").distribution == "test-plugin"
    assert layers.provider("Affine").distribution == "other-plugin"


PLUGIN = """\
[bicerin.layers]
Third = third:Third

[console_scripts]
third = third:main

[bicerin.layer_api]
3 = bicerin.layer
"""


def fake_distribution(folder: Path, name: str, entry_points: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nname: {name}\nVersion: 1.0\n\nVersion: 7 of a README\n")
    (info / "entry_points.txt").write_text(entry_points)


def test_the_index_is_read_from_metadata(tmp_path: Path, monkeypatch) -> None:
    fake_distribution(tmp_path, "third_party", PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    forget_plugins()
    known = hooks.plugins()
    try:
        (provider,) = layers.providers()["Third"]
        assert (provider.distribution, provider.version, provider.layer_api) == ("third_party", "1.0", 3)
        monkeypatch.setenv("BICERIN_DISABLE_PLUGINS", "Third-Party, other")
        forget_plugins()
        assert "Third" not in layers
        assert hooks.plugins() is not known
    finally:
        forget_plugins()


def test_importing_bicerin_imports_nothing_heavy() -> None:
    code = "import bicerin, sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    heavy = {"numba", "cupy", "h5py", "lmdb", "matplotlib", "numpy", "google.protobuf", "cv2", "bicerin_convolution"}
    assert not heavy & set(loaded)
