"""Discovery: one index from metadata; trouble with a plugin is trouble only for who uses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bicerin import configuration
from bicerin.errors import BrokenPluginError, ConflictError, IncompatiblePluginError, UnknownNameError
from bicerin.registry import layers, plugin_index


def test_the_core_brings_two_layers() -> None:
    assert {"Input", "Split"} <= set(layers.providers())
    assert layers.provider("Input").distribution == "bicerin"


def test_an_unknown_name_says_what_is_close_and_who_was_asked(provided) -> None:
    with pytest.raises(UnknownNameError) as caught:
        layers.load("afine")
    text = str(caught.value)
    assert 'unknown layer type "afine"; did you mean "Affine"?' in text
    assert "test-plugin" in text


def test_the_right_case_is_suggested(provided) -> None:
    with pytest.raises(UnknownNameError, match='did you mean "Input"'):
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
    with pytest.raises(Exception, match=r"config\.toml"):
        configuration.layer_providers()


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
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def test_the_index_is_read_from_metadata(tmp_path: Path, monkeypatch) -> None:
    fake_distribution(tmp_path, "third_party", PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    plugin_index.cache_clear()
    try:
        (provider,) = layers.providers()["Third"]
        assert (provider.distribution, provider.version, provider.layer_api) == ("third_party", "1.0", 3)
        monkeypatch.setenv("BICERIN_DISABLE_PLUGINS", "Third-Party, other")
        plugin_index.cache_clear()
        assert "Third" not in layers
    finally:
        plugin_index.cache_clear()


def test_importing_bicerin_imports_nothing_heavy() -> None:
    code = "import bicerin, sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    heavy = {"numba", "cupy", "h5py", "lmdb", "matplotlib", "numpy", "google.protobuf", "cv2", "bicerin_convolution"}
    assert not heavy & set(loaded)
