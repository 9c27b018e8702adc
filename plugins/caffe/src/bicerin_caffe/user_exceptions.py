"""What a user's Python layer raises reaches the user as it was raised, as in pycaffe."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from bicerin.errors import UserCodeError

_Function = TypeVar("_Function", bound=Callable[..., Any])


def user_exceptions(function: _Function) -> _Function:
    """Let a function raise what a Python layer raised, with a note on the layer and the net, not a `UserCodeError`."""

    @wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except UserCodeError as error:
            if error.__cause__ is None:
                raise
            raised = error.__cause__
            raised.add_note(_note(error))
        # Outside of the `except`, so that what the user's exception was raised for stays its context.
        raise raised

    return call  # type: ignore[return-value]


def _note(error: UserCodeError) -> str:
    net = f' of the net "{error.net_name}"' if error.net_name else ""
    place = f", {error.location}" if error.location else ""
    return f'In the layer "{error.layer_name}" ({error.layer_type}){net}{place}'
