"""A trained net on real digits, and a browser."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside the tests; --import-mode=importlib adds nothing

from digits_training import Training, run, train
from report_view import View


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """All tests look at the one."""
    return train(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: Playwright's own, or the system's."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            # Root, as in a container, has no sandbox, and little shared memory.
            made = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        except Error as error:
            said = "Chromium is not installed: apt-get install chromium, or playwright install --with-deps chromium"
            if os.environ.get("CI"):
                pytest.fail(f"{said}. {error}")
            pytest.skip(said)
        yield made
        made.close()


@pytest.fixture
def view(browser: Browser, request: pytest.FixtureRequest) -> Iterator[View]:
    """A page; nothing may be said on its console, and nothing asked of anyone but what it is opened from."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    made = View(page, [], [])
    page.on("console", lambda message: made.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: made.said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: made.said.append(f"dialog: {dialog.message}"))
    page.on("request", lambda one: made.asked.append(one.url))
    yield made
    page.close()
    assert made.said == []
    elsewhere = [url for url in made.asked if not url.startswith(("file:", "data:", "about:", "http://127.0.0.1"))]
    assert elsewhere == []


@pytest.fixture(scope="session")
def report(training: Training) -> Path:
    """The page with every part."""
    weights = [path.name for path in training.weights]
    before = Path.cwd()
    os.chdir(training.folder)  # for short names on the page
    try:
        result = run(
            "report",
            "solver.prototxt",
            "run.jsonl",
            "-w",
            weights[0],
            "-w",
            weights[1],
            "--time",
            2,
            "-o",
            "report.html",
        )
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output
    return training.folder / "report.html"
