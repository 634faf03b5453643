"""A real headless Chromium, and pages that may neither ask for anything nor complain."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from tests.browser.runs import Run, make_run

WIDE = {"width": 1280, "height": 900}


class Opened(NamedTuple):
    """A page in the browser, and all that it did without being asked: requests, dialogs, messages, errors."""

    page: Page
    deeds: list[str]

    def text(self, selector: str) -> list[str]:
        """Return the text of each visible element."""
        return [found.inner_text().strip() for found in self.page.locator(selector).all() if found.is_visible()]


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once for a module."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        # As root, which continuous integration is, Chromium has no sandbox.
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport=WIDE, reduced_motion="reduce")  # type: ignore[arg-type]
    made.grant_permissions(["clipboard-read", "clipboard-write"])
    yield made
    made.close()


@pytest.fixture
def open_page(context: BrowserContext) -> Iterator[Open]:
    """Open a file; when the test is over, it has done nothing but what it was asked for."""
    opened: list[Opened] = []

    def open_(file: Path, **size: int) -> Opened:
        page = context.new_page()
        if size:
            page.set_viewport_size(size)  # type: ignore[arg-type]
        found = Opened(page, [])
        opened.append(found)
        page.on("console", lambda message: found.deeds.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: found.deeds.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (found.deeds.append(f"dialog: {dialog.message}"), dialog.dismiss()))

        def route(call: Route) -> None:
            if call.request.url.partition("#")[0] != file.as_uri():
                found.deeds.append(f"request: {call.request.url}")
            call.continue_()

        page.route("**/*", route)
        page.goto(file.as_uri())
        return found

    yield open_
    assert opened
    assert [deed for found in opened for deed in found.deeds] == []


@pytest.fixture(scope="session")
def small_run() -> Run:
    """Twelve models, two tags; one that failed."""
    names = [f"m{number:02}-d{8 + number % 3}-{'ab'[number % 2]}" for number in range(12)]
    tags = [{"dim": str(8 + number % 3), "loss": "ab"[number % 2]} for number in range(12)]
    return make_run(names, tags, failed=["broken"])


@pytest.fixture(scope="session")
def small_page(small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run.write(tmp_path_factory.mktemp("small"))
