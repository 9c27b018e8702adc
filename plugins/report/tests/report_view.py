"""A page in the browser."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class View:
    """A page in the browser, what it said on its console, and what it asked for."""

    page: Any
    said: list[str]
    asked: list[str]

    def open(self, path: Path | str, part: str = "") -> None:
        address = path.as_uri() if isinstance(path, Path) else path
        self.page.goto("about:blank")
        self.page.goto(f"{address}{'#' + part if part else ''}")
        self.until("document.documentElement.dataset.ready === 'yes'")

    def until(self, expression: str, seconds: float = 30) -> None:
        """Wait until an expression is true. (Playwright's own makes code of a text, which the page forbids.)"""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            self.page.wait_for_timeout(50)

    def wide(self) -> int:
        """By how many pixels the page is wider than the window."""
        found: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return found
