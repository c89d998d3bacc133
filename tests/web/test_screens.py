"""Every page at phone, laptop and wall width, in both languages; the pictures are for a person to look at."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.fixtures.running_demo import wait_until

pytestmark = [pytest.mark.web, pytest.mark.timeout(240)]

SCREENS = Path(os.environ.get("QIANLI_SCREENSHOTS", "screenshots"))
SIZES = {390: 844, 1280: 800, 1920: 1080}
ROUTES = {"login": "", "wall": "#/wall", "bed": "#/bed/p-demo-1"}


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", list(SIZES))
@pytest.mark.parametrize("screen", list(ROUTES))
def test_screen_fits_its_width(open_page, screen, width, language):
    name = None if screen == "login" else "doctor"
    page = open_page(ROUTES[screen], width=width, height=SIZES[width], language=language, name=name)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    if screen == "login":
        expect(page.get_by_test_id("login-name")).to_be_visible()
    else:
        canvas = page.get_by_test_id("wave-ecg").first
        wait_until(lambda: canvas.get_attribute("data-last-sample-at"), within_s=25, what="a wave")
        page.wait_for_timeout(3000)
    SCREENS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENS / f"{screen}-{width}-{language}.png", full_page=screen == "bed")

    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    assert errors == []
