"""The documentation site: `tox run -e docs`. generate_reference.py writes the pages of layers and commands before."""

from __future__ import annotations

import re
from typing import Any

from pygments.lexers.special import TextLexer

import bicerin

project = "Bicerin"
author = "Bicerin contributors"
copyright = author
version = release = bicerin.__version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"Bicerin {version}"
exclude_patterns = ["_build"]

# `tox run -e linkcheck`. Within the pages, warnings are errors, and tests/test_pages.py follows links and headings.
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1)"]
linkcheck_timeout = 20
linkcheck_retries = 2

#: Where files of the repository that are no pages are read.
_REPOSITORY = "https://github.com/bicerin/bicerin/blob/main"


def _link_to_the_repository(app: Any, name: str, source: list[str]) -> None:
    """Links that leave this folder lead to the repository."""
    source[0] = re.sub(r"\]\(\.\./([^)#]*)", rf"]({_REPOSITORY}/\1", source[0])


def setup(app: Any) -> None:
    app.add_lexer("prototxt", TextLexer)
    app.connect("source-read", _link_to_the_repository)
