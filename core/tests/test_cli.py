"""The command line: how commands are found, and what becomes of errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.discovery.registry import forget_plugins, plugin_index
from bicerin.errors import BicerinError, UnknownNameError, UserCodeError


def run(*arguments: object, **keywords: Any) -> Result:
    return CliRunner().invoke(command_line, list(map(str, arguments)), prog_name="bicerin", **keywords)


def in_a_process(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> dict[str, click.Command]:
    """Commands that the group has for one test."""
    monkeypatch.setattr(command_line, "commands", {})
    return command_line.commands


class TestFindingCommands:
    HEAVY = ("numpy", "numba", "cupy", "h5py", "lmdb", "matplotlib", "google.protobuf", "rich")

    @pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
    def test_help_imports_nothing_heavy(self, arguments: list[str]) -> None:
        code = f"""
import sys
from bicerin.cli import main
try:
    main()
except SystemExit:
    pass
print([name for name in {self.HEAVY} if name in sys.modules], file=sys.stderr)
"""
        result = in_a_process(code, *arguments)
        assert result.stderr.splitlines()[-1] == "[]"

    def test_version(self) -> None:
        assert run("--version").stdout == f"bicerin, version {bicerin.__version__}\n"

    @pytest.mark.parametrize("path", [(name,) for name in command_line.lazy] + [("plugins", "list")])
    def test_every_command_has_help(self, path: tuple[str, ...]) -> None:
        result = run(*path, "--help")
        assert result.exit_code == 0
        assert result.stdout.startswith(f"Usage: bicerin {' '.join(path)}")

    def test_commands_are_named_as_in_the_table(self) -> None:
        context = click.Context(command_line)
        for group in (command_line, command_line.get_command(context, "plugins")):
            assert {name: group.get_command(context, name).name for name in group.lazy} == {n: n for n in group.lazy}

    def test_an_unknown_command(self) -> None:
        result = run("trian")
        assert result.exit_code == 2
        assert 'No such command "trian". Did you mean "train"?' in result.stderr

    def test_an_unknown_command_of_a_known_distribution(self, provided: Any) -> None:
        provided.index.pop("bicerin.commands", None)
        assert "pip install bicerin-data" in run("convert-imageset").stderr

    def test_an_unknown_option_is_a_usage_error(self) -> None:
        assert run("--nonsense").exit_code == 2
        assert run("test", "net.prototxt", "--nonsense").exit_code == 2


class TestCommandsOfPlugins:
    SOURCE = '''"""Greet the world.

More about it.
"""
import click

@click.command()
def greet():
    click.echo("hello")

not_a_command = 1
'''

    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        package = tmp_path / "greeting_plugin"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "greet.py").write_text(self.SOURCE)
        (package / "broken.py").write_text('"""Break."""\nraise RuntimeError("nothing works")')
        monkeypatch.syspath_prepend(tmp_path)
        yield "greeting_plugin"
        for name in [name for name in sys.modules if name.startswith("greeting_plugin")]:
            del sys.modules[name]

    def test_is_listed_without_an_import_and_run(self, provided: Any, module: str) -> None:
        provided.add("bicerin.commands", "greet", f"{module}.greet:greet")
        assert "Greet the world. [test-plugin]" in " ".join(run("--help").stdout.split())
        assert module not in sys.modules
        assert run("greet").stdout == "hello\n"

    def test_a_broken_one_hurts_only_who_runs_it(self, provided: Any, module: str) -> None:
        provided.add("bicerin.commands", "break", f"{module}.broken:main")
        provided.add("bicerin.commands", "absent", "no_such_module:main")
        help_text = run("--help")
        assert help_text.exit_code == 0
        assert "Break. [test-plugin]" in help_text.stdout
        result = run("break")
        assert result.exit_code == 1
        assert "test-plugin 1.0 cannot be imported" in result.stderr
        assert "RuntimeError: nothing works" in result.stderr
        assert run("absent").exit_code == 1

    def test_two_that_claim_one_name(self, provided: Any, module: str) -> None:
        provided.add("bicerin.commands", "greet", f"{module}.greet:greet")
        provided.add("bicerin.commands", "greet", "other:greet", distribution="other-plugin")
        assert "Several installed distributions" in run("--help").stdout
        result = run("greet")
        assert result.exit_code == 1
        assert "test-plugin" in result.stderr and "other-plugin" in result.stderr

    def test_what_is_no_command(self, provided: Any, module: str) -> None:
        provided.add("bicerin.commands", "greet", f"{module}.greet:not_a_command")
        result = run("greet")
        assert result.exit_code == 1
        assert "is not a click.Command" in result.stderr


class TestErrors:
    @pytest.fixture
    def failing(self, commands: dict[str, click.Command]) -> Any:
        def fail_with(error: BaseException) -> None:
            def callback() -> None:
                raise error

            commands["fail"] = click.Command("fail", callback=callback)

        return fail_with

    def test_one_line_and_status_1(self, failing: Any) -> None:
        failing(BicerinError("net.prototxt:3: this is wrong"))
        result = run("fail")
        assert result.exit_code == 1
        assert result.stderr == "error: net.prototxt:3: this is wrong\n"

    @pytest.mark.parametrize(("arguments", "environment"), [(["--debug"], {}), ([], {"BICERIN_DEBUG": "1"})])
    def test_debug_shows_where_it_comes_from(self, failing: Any, arguments: list[str], environment: Any) -> None:
        failing(error := BicerinError("wrong"))
        assert run(*arguments, "fail", env=environment).exception is error

    def test_a_fault_of_the_program_keeps_its_traceback(self, failing: Any) -> None:
        failing(error := ZeroDivisionError())
        assert run("fail").exception is error

    def test_an_interrupt_is_130(self, failing: Any) -> None:
        failing(KeyboardInterrupt())
        result = run("fail")
        assert (result.exit_code, result.stderr) == (130, "interrupted\n")

    def test_the_users_own_traceback_is_shown(self, failing: Any, tmp_path: Path) -> None:
        file = tmp_path / "my_layer.py"
        file.write_text("def forward():\n    return 1 / 0\n")
        code: dict[str, Any] = {"__name__": "my_layer"}
        exec(compile(file.read_text(), file, "exec"), code)
        ours: dict[str, Any] = {"__name__": "bicerin.somewhere", "forward": code["forward"]}
        exec("def call(): forward()", ours)
        try:
            ours["call"]()
        except ZeroDivisionError as error:
            cause = error
        wrapped = UserCodeError("MyLayer.forward raised")
        wrapped.__cause__ = cause
        failing(wrapped)
        lines = run("fail").stderr.splitlines()
        assert lines[0] == "error: MyLayer.forward raised"
        assert f'  File "{file}", line 2, in forward' in lines
        assert lines[-1] == "ZeroDivisionError: division by zero"
        assert not any("in call" in line for line in lines)

    def test_a_broken_pipe_is_quiet(self) -> None:
        code = "from bicerin.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "plugins", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        process.wait()
        process.stderr.close()

    @pytest.mark.parametrize(
        "arguments",
        [
            ["train", "absent.prototxt"],
            ["test", "absent.prototxt"],
            ["time", "absent.prototxt"],
            ["upgrade", "net", "absent.prototxt", "out.prototxt"],
            ["draw", "absent.prototxt", "out.dot"],
            ["parse-log", "absent.log"],
            ["plot-log", "absent.log", "out.png"],
        ],
    )
    def test_a_missing_file(self, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: absent.")
        assert "o such file" in result.stderr
        assert list(tmp_path.iterdir()) == []

    def test_a_provider_is_type_and_distribution(self) -> None:
        result = run("test", "net.prototxt", "--provider", "ROIPooling")
        assert result.exit_code == 2
        assert "TYPE=DISTRIBUTION" in result.stderr


def test_info(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_NUM_THREADS", "3")
    found = json.loads(run("info", "--json").stdout)
    assert found["versions"]["bicerin"] == bicerin.__version__
    assert found["devices"]["cpu"] == "cpu: works"
    assert found["settings"]["BICERIN_NUM_THREADS"] == "3"
    table = run("info").stdout
    assert "configuration" in table and "protobuf" in table


def test_info_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from bicerin.cli import missing

    there = missing._is_installed
    gone = {"bicerin-rcnn", "bicerin-data", "h5py"}
    monkeypatch.setattr(missing, "_is_installed", lambda name: name not in gone and there(name))
    found = {one["name"]: one for one in json.loads(run("info", "--json").stdout)["missing"]}
    assert found["bicerin-rcnn"]["command"] == "pip install bicerin-rcnn"
    assert "ROIPooling" in found["bicerin-rcnn"]["brings"] and "bicerin predict" in found["bicerin-data"]["brings"]
    assert found["h5py"]["command"] == 'pip install "bicerin-proto[hdf5]"'
    rows = [line for line in run("info").stdout.splitlines() if line.startswith("bicerin-rcnn")]
    assert rows and rows[-1].rstrip().endswith("): pip install bicerin-rcnn")


class TestCompletion:
    @staticmethod
    def completed(*words: str) -> list[tuple[str, str]]:
        from click.shell_completion import ShellComplete

        *before, incomplete = words
        complete = ShellComplete(command_line, {}, "bicerin", "_BICERIN_COMPLETE")
        return [(item.value, item.type) for item in complete.get_completions(list(before), incomplete)]

    @pytest.mark.parametrize(
        "words", [("train", "le"), ("check", "a.prototxt", "le"), ("test", "net", "-w", "le"), ("compile", "le")]
    )
    def test_files(self, words: tuple[str, ...]) -> None:
        assert self.completed(*words) == [("le", "file")]

    def test_devices_plugins_and_providers(self) -> None:
        assert ("gpu", "plain") in self.completed("train", "--device", "g")
        assert self.completed("plugins", "check", "bicerin")[0] == ("bicerin", "plain")
        assert ("Split=bicerin", "plain") in self.completed("train", "--provider", "Sp")


class TestTypingErrors:
    NET = 'layer { name: "in" type: "Input" top: "x" }'

    @pytest.mark.parametrize(
        ("choice", "said"),
        [
            ({"Inptu": "bicerin"}, '--provider.*unknown layer type "Inptu". Did you mean "Input"'),
            ({"Input": "bicern"}, "--provider.*was asked of bicern, which does not bring it; installed: bicerin"),
        ],
    )
    def test_a_provider(self, choice: dict[str, str], said: str) -> None:
        with pytest.raises(UnknownNameError, match=said):
            bicerin.Net(self.NET, layer_providers=choice)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('[layer_provider]\nInput = "bicerin"', "there is no setting 'layer_provider'; there are"),
            ('[layer_providers]\nInptu = "bicerin"', 'unknown layer type "Inptu"'),
            ('[layer_providers]\nInput = "bicern"', "was asked of bicern"),
        ],
    )
    def test_the_configuration(
        self, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "c.toml").write_text(text)
        monkeypatch.setenv("BICERIN_CONFIG", str(tmp_path / "c.toml"))
        bicerin.Net(self.NET)
        bicerin.Net(self.NET)
        (message,) = [record.message for record in caplog.records if record.name == "bicerin.discovery"
                      or "layer_providers" in record.message]  # fmt: skip
        assert said in message and "c.toml" in message

    def test_a_hidden_plugin(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setenv("BICERIN_DISABLE_PLUGINS", "Bicerin,bicerin-poolng")
        forget_plugins()
        try:
            plugin_index()
        finally:
            monkeypatch.undo()
            forget_plugins()
        (message,) = [record.message for record in caplog.records]
        assert message == 'BICERIN_DISABLE_PLUGINS: no distribution "bicerin-poolng" with plugins is installed'

    @pytest.mark.parametrize(("name", "here"), [("cuda", "gpu"), ("cuda:1", "gpu:1"), ("cupy", "gpu")])
    def test_a_device(self, name: str, here: str) -> None:
        with pytest.raises(UnknownNameError, match=f'unknown device "{name}": here it is called "{here}".*cpu.*gpu'):
            bicerin.get_device(name)
