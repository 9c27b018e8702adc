"""Finds the user's class, and turns what the user's code raises into a `UserCodeError`.

A module is looked for
1. where Python looks: `sys.path`, and so `PYTHONPATH`;
2. beside the prototxt;
3. in the working directory.

The folder that a module was found in by 2 or 3 is at the end of `sys.path` while the module is imported and while its
layers run, so that they may import its neighbours at any time and nobody else does. Two nets may each have a module of
the same name beside them: when the layers of another folder run, the modules of the former leave `sys.modules`, and
what already uses them goes on with them.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import threading
import traceback
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bicerin.errors import LayerError, UserCodeError
from bicerin_proto.hints import did_you_mean

_HERE = Path(__file__).parent
#: Characters of an exception's text.
_MOST_TEXT = 2000
_lock = threading.RLock()
#: The folders in use so far, each with the modules that were imported from it.
_folders: dict[Path, dict[str, ModuleType]] = {}
_active: Path | None = None


def find_class(module: str, name: str, directory: Path | None) -> type:
    """The class `name` of the module, imported if need be.

    Args:
        directory: the folder of the prototxt.

    Raises:
        LayerError: there is no such module or class, or it is not a class; says where it was looked for.
        UserCodeError: the module raised while it was imported.
    """
    if not module or not name:
        raise LayerError(
            "python_param must name a module and a layer.",
            'Such as python_param { module: "losses" layer: "HalfSquareLoss" }.',
        )
    places = {"beside the prototxt": directory, "the working directory": Path.cwd()}
    folders = {place: path.resolve() for place, path in places.items() if path is not None}
    found: list[ModuleType] = []
    with _lock:
        for folder in (None, *dict.fromkeys(folders.values())):
            candidate = _import(module, folder)
            if candidate is None:
                continue
            if hasattr(candidate, name):
                return _checked(getattr(candidate, name), candidate, name)
            found.append(candidate)
    if found:
        raise _missing_class(found[0], name)
    looked = ", ".join(["sys.path (PYTHONPATH)", *(f"{path} ({place})" for place, path in folders.items())])
    raise LayerError(f'there is no module "{module}".', f"It was looked for on {looked}.")


class UserCode:
    """Context manager: the user's code runs, and what it raises becomes a `UserCodeError` whose `__cause__` it is.

    A class, since a generator would let `StopIteration` through. While the code runs its module's folder is on
    `sys.path` and its neighbours are in `sys.modules`, so that imports and pickles inside of methods find them. What
    ends a program, `sys.exit()` included, is an error here too; only the user's Ctrl-C goes on.

    Args:
        what: what runs, such as `HalfSquareLoss.forward`.
        file: the user's module, whose innermost line is named.
    """

    def __init__(self, what: str, file: str | None) -> None:
        self.what = what
        self.file = file
        self._folder = _folder_of(file) if file is not None else None
        self._entered = False

    def __enter__(self) -> None:
        if self._folder is not None:
            with _lock:
                _activate(self._folder)
                sys.path.append(str(self._folder))
            self._entered = True

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._entered:
            with _lock, contextlib.suppress(ValueError):
                sys.path.reverse()  # the last one is ours
                try:
                    sys.path.remove(str(self._folder))
                finally:
                    sys.path.reverse()
        if error is None or isinstance(error, KeyboardInterrupt):
            return
        text = f"{self.what} raised {type(error).__name__}{_text(error)}"
        raise UserCodeError(text, _place(error, self.file)) from error


@lru_cache(maxsize=256)
def _folder_of(file: str) -> Path | None:
    """The folder that a user's module was found in by 2 or 3."""
    return next((folder for folder in Path(file).parents if folder in _folders), None)


def _text(error: BaseException) -> str:
    """What an exception says, cut where it is long; an exception's own code may fail at it."""
    try:
        text = str(error)
    except Exception as failure:
        return f", whose text cannot be had ({type(failure).__name__})"
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]}... ({len(text)} characters)"
    return f": {text}" if text else ""


def _place(error: BaseException, file: str | None) -> str | None:
    if isinstance(error, SyntaxError) and error.filename:
        return f"at {error.filename}:{error.lineno}: {(error.text or '').strip()}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent != _HERE]
    if not frames:
        return None
    frame = ([frame for frame in frames if frame.filename == file] or frames)[-1]
    return f"at {frame.filename}:{frame.lineno}: {frame.line}"


def _import(module: str, folder: Path | None) -> ModuleType | None:
    """The module, from Python's own path or from a folder; None where it is not there."""
    previous = _active
    if folder is not None and not _stands_in(module, folder):
        return None
    _activate(folder)
    importlib.invalidate_caches()
    try:
        with UserCode(f'importing the module "{module}"', None), _on_path(folder):
            return importlib.import_module(module)
    except UserCodeError as error:
        cause = error.__cause__
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if missing is not None and (module == missing or module.startswith(f"{missing}.")):
            return None
        raise
    finally:
        if folder is None:
            _activate(previous)
        else:
            _keep_modules(folder)


def _stands_in(module: str, folder: Path) -> bool:
    top = folder / module.partition(".")[0]
    return top.with_suffix(".py").is_file() or top.is_dir()


def _activate(folder: Path | None) -> None:
    """Make `sys.path` and `sys.modules` what they are if this folder is the only one that was added."""
    global _active
    if _active is not None and _active != folder:
        _keep_modules(_active)
        for name, module in _folders[_active].items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
    if folder is not None and _active != folder:
        for name, module in _folders.setdefault(folder, {}).items():
            sys.modules.setdefault(name, module)
    _active = folder


@contextlib.contextmanager
def _on_path(folder: Path | None) -> Iterator[None]:
    if folder is not None:
        sys.path.append(str(folder))
    try:
        yield
    finally:
        if folder is not None:
            with contextlib.suppress(ValueError):
                sys.path.remove(str(folder))


def _keep_modules(folder: Path) -> None:
    """Note which modules have come from a folder."""
    kept = _folders[folder]
    for name, module in list(sys.modules.items()):
        if name in kept:
            continue
        top = name.partition(".")[0]
        parent = sys.modules.get(top)
        homes = {folder / f"{top}.py", folder / top / "__init__.py"}
        if parent is not None and _file(parent) in homes:
            kept[name] = module


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def _checked(cls: Any, module: ModuleType, name: str) -> type:
    if not inspect.isclass(cls):
        raise LayerError(f'"{name}" in the module "{module.__name__}" ({_file(module)}) is not a class.')
    return cls


def _missing_class(module: ModuleType, name: str) -> LayerError:
    layers = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and hasattr(value, "forward") and value.__module__ == module.__name__
    ]
    return LayerError(
        f'the module "{module.__name__}" ({_file(module)}) has no class "{name}".',
        f"{did_you_mean(name, layers)} Its layers: {', '.join(layers) or 'none'}.".lstrip(),
    )
