"""Hooks: what a plugin may do besides bringing layers. Implementations are found through the entry-point group
`bicerin.plugins`, each naming a module (or object) whose functions are marked with `hookimpl`.

    from bicerin.net.hooks import hookimpl

    @hookimpl
    def bicerin_solver_step(solver, loss):
        print(solver.iteration, loss)

A solver may be given hooks of its own, objects with such methods: `Solver(..., hooks=[mine])`.
"""

from __future__ import annotations

import logging
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from bicerin.discovery.registry import Registry, found_once
from bicerin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bicerin.layer.layer import Layer
    from bicerin.net import Net

_log = logging.getLogger("bicerin.hooks")

hookspec = pluggy.HookspecMarker("bicerin")
hookimpl = pluggy.HookimplMarker("bicerin")

hook_plugins = Registry("bicerin.plugins", "hook plugin")


class Hooks:
    """The hooks that there are."""

    @hookspec
    def bicerin_net_built(self, net: Net) -> None:
        """A net has been built and its layers set up."""

    @hookspec
    def bicerin_net_warnings(self, layers: Sequence[Any]) -> list[str]:
        """Sentences on what is probably not meant in a net; a net logs them, and `bicerin check` prints them.

        `layers` are the `LayerParameter`s of the layers that could be set up, in the order in which they run.
        """
        return []

    @hookspec
    def bicerin_before_layer(self, net: Net, index: int, layer: Layer) -> None:
        """A layer is about to run forward."""

    @hookspec
    def bicerin_after_layer(self, net: Net, index: int, layer: Layer) -> None:
        """A layer has run forward; its tops hold the results."""

    @hookspec
    def bicerin_solver_start(self, solver: Any) -> None:
        """`solve` or `step` begins."""

    @hookspec
    def bicerin_solver_step(self, solver: Any, loss: float) -> None:
        """One iteration is done and the weights are updated; `loss` is this iteration's own."""

    @hookspec
    def bicerin_solver_stop(self, solver: Any) -> None:
        """`solve` or `step` ends, also through an error."""

    @hookspec(firstresult=True)
    def bicerin_test_output(self, net: Net, name: str, param: Any) -> Any:
        """A test begins: how is an output of the net summed up over its passes?

        Return an object with `add(values)`, called with the output's array after each pass, and `result()`, called in
        the end, which returns a number or an array (`bicerin.solver.outcome.OutputSum`). Or None: others are asked
        then, and by default it is the mean. `param` is the SolverParameter; `bicerin test` gives one of defaults.
        """

    @hookspec
    def bicerin_test_result(self, solver: Any, net_index: int, results: dict[str, Any]) -> None:
        """A test net has run: output name -> its mean over the test iterations, or what `bicerin_test_output` made.

        Of several ranks that divide a test each calls it, with the same results; `solver.is_root` tells one from them.
        """

    @hookspec
    def bicerin_snapshot(self, solver: Any, path: Path) -> None:
        """A snapshot has been written; `path` is the solver state's."""


@found_once
def plugins() -> pluggy.PluginManager:
    """The plugin manager with every installed hook implementation; a broken one is logged and left out.

    A hook that nobody knows is logged too: it is misspelt, or of a newer core.
    """
    manager = pluggy.PluginManager("bicerin")
    manager.add_hookspecs(Hooks)
    for name, providers in hook_plugins.providers().items():
        for provider in providers:
            known_as = f"{provider.distribution}:{name}"
            try:
                manager.register(provider.load(), name=known_as)
            except PluginError as error:
                _log.warning("%s", error)
            except pluggy.PluginValidationError as error:
                manager.unregister(name=known_as)
                _log.warning("the hooks of %s are left out: %s", provider, error)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        _log.warning("%s", error)
    return manager


def solver_hooks(hooks: Iterable[object]) -> pluggy.PluginManager:
    """The manager of hook implementations that one solver is given.

    Args:
        hooks: objects, or modules, with functions that are marked with `hookimpl`.

    Raises:
        PluginError: one has no such function, or one that no solver calls, or one with other arguments.
    """
    manager = pluggy.PluginManager("bicerin")
    manager.add_hookspecs(Hooks)
    for hook in hooks:
        kind = hook.__name__ if isinstance(hook, (type, ModuleType)) else type(hook).__name__
        try:
            manager.register(hook)
            found = manager.get_hookcallers(hook) or []
            unknown = [caller.name for caller in found if not caller.has_spec()]
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"hooks: {kind}: {error}") from error
        if not found:
            raise PluginError(f"hooks: {kind} has no method that is marked with bicerin.net.hooks.hookimpl.")
        if unknown:
            raise PluginError(f"hooks: {kind}: there is no hook {unknown[0]}; there are: {', '.join(_of_solvers())}.")
        if others := [caller.name for caller in found if caller.name not in _of_solvers()]:
            raise PluginError(
                f"hooks: {kind} has {others[0]}, which is not called for one solver: a solver's hooks are "
                f"{', '.join(_of_solvers())}. A net has lists of functions instead, such as before_forward."
            )
    return manager


def _of_solvers() -> list[str]:
    """The hooks that are called for a solver."""
    return [name for name, function in vars(Hooks).items() if "solver" in getattr(function, "__annotations__", ())]


def warnings_of(layers: Sequence[Any]) -> list[str]:
    """What there is to say of a net of these layers, most of it by plugins."""
    if not layers:
        return ["the net has no layers: its file has none, or none of this phase, level and stages"]
    return [text for found in plugins().hook.bicerin_net_warnings(layers=layers) for text in found]


def implemented(hook: str) -> bool:
    """Whether anyone implements a hook, so that hot paths need not call it."""
    return bool(getattr(plugins().hook, hook).get_hookimpls())
