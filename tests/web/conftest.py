"""A real browser: Debian's Chromium, driven by playwright. Nothing is downloaded."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.fixtures.running_demo import RunningDemo

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium fonts-noto-cjk)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser, running_demo: RunningDemo) -> Iterator[OpenPage]:
    """Opens a page of the running demo, logged in unless told otherwise."""
    contexts = []

    def open_one(
        hash_route: str = "",
        *,
        width: int = 1280,
        height: int = 800,
        language: str = "zh",
        name: str | None = "doctor",
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            locale="zh-CN" if language == "zh" else "en-GB",
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(running_demo.address)
        page.evaluate("language => localStorage.setItem('qianli.language', language)", language)
        page.reload()
        if name is not None:
            log_in(page, name, running_demo.passwords[name])
            page.get_by_test_id("nav-account").wait_for()
        if hash_route:
            page.goto(f"{running_demo.address}/{hash_route}")
        return page

    yield open_one
    for context in contexts:
        context.close()


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_test_id("login-name").fill(name)
    page.get_by_test_id("login-password").fill(password)
    page.get_by_test_id("login-submit").click()
