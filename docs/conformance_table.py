"""Write the tables in conformance-kit.md anew, from the planted faults: `python docs/conformance_table.py`."""

from __future__ import annotations

import inspect
import runpy
from functools import partial
from pathlib import Path

from bicerin.testing import CHECKS

PAGE = Path(__file__).with_name("conformance-kit.md")
MUTANTS = Path(__file__).parents[1] / "tests" / "mutants"


def checks() -> str:
    rows = [f"| `{name}` | {(inspect.getdoc(check) or '').partition(chr(10))[0]} |\n" for name, check in CHECKS.items()]
    return "| check | what it asks |\n| --- | --- |\n" + "".join(rows)


def faults(file: str) -> str:
    rows = [f"| {mutant.fault} | `{mutant.found_by}` |\n" for mutant in runpy.run_path(str(MUTANTS / file))["MUTANTS"]]
    return "| planted fault | found by |\n| --- | --- |\n" + "".join(rows)


TABLES = {
    "checks": checks,
    "faults": partial(faults, "mutants.py"),
    "device faults": partial(faults, "device_mutants.py"),
}


def written(page: str) -> str:
    """The page with its tables made anew."""
    for name, table in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        head, _, rest = page.partition(start)
        _, found, tail = rest.partition(end)
        if not found:
            raise ValueError(f"{PAGE.name} has no {start.strip()} ... {end.strip()}")
        page = f"{head}{start}{table()}{end}{tail}"
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
