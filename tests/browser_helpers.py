"""A real browser: headless Chromium of the system, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
]
PATIENCE = 60_000.0
"""Milliseconds."""


def chromium() -> str:
    """Where it is; without one tests are skipped, but not in CI, which installs it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "there is no chromium here (apt-get install chromium)"
        if os.environ.get("ASRWATCH_CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser until the block ends."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: Browser, url: str, expected: tuple[str, ...] = (), **looks: Any
) -> Iterator[Page]:
    """A page in a window of its own, opened at an address; nothing in it may go wrong unseen.

    `expected` is what the console may say all the same; `looks` are Playwright's: `viewport`, `color_scheme`, `locale`.
    """
    context: BrowserContext = browser.new_context(**looks)
    context.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    try:
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
        page.goto(url)
        yield page
        assert [each for each in wrong if not any(part in each for part in expected)] == []
    finally:
        context.close()


__all__ = ["PATIENCE", "browsing", "chromium", "visiting"]
