"""The table in docs/devices.md says what the layers declare."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_table_is_current() -> None:
    page = (DOCS / "devices.md").read_text(encoding="utf-8")
    rows = runpy.run_path(str(DOCS / "devices_table.py"))["rows"]()
    assert sum(map(len, rows.values())) > 50
    for distribution, lines in rows.items():
        if not distribution.startswith("bicerin"):
            continue
        section = page.partition(f"**{distribution}**")[2].partition("**")[0]
        assert "".join(lines) in section, f"run `python docs/devices_table.py`: {distribution} has changed"
