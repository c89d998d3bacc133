"""Every page of every role: it fits, nothing fails in it, and axe finds nothing (WCAG 2.2 A and AA)."""

import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.web, pytest.mark.timeout(240)]

AXE = Path(__file__).parents[2] / "cloud/web/node_modules/axe-core/axe.min.js"
SCREENS = Path(os.environ.get("QIANLI_SCREENSHOTS", "screenshots"))
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
PAGES = {
    "doctor": ["wall", "people", "register", "person", "unclaimed", "account"],
    "admin": ["places", "staff", "duty", "devices", "account"],
    "auditor": ["audit", "reviews"],
    "resident": ["me"],
}
CASES = [(name, page) for name, pages in PAGES.items() for page in pages]
SHAPES = [
    pytest.param(390, "zh", False, id="phone-zh"),
    pytest.param(1280, "en", False, id="desktop-en"),
    pytest.param(390, "en", True, id="phone-en-elder"),
    pytest.param(1280, "zh", True, id="desktop-zh-elder"),
]


@pytest.mark.parametrize(("width", "language", "is_elder"), SHAPES)
@pytest.mark.parametrize(("name", "page_name"), CASES)
def test_page_fits_and_is_accessible(open_page, name, page_name, width, language, is_elder):
    page = open_page("", width=width, height=844, language=language, name=name)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    if is_elder:
        page.get_by_test_id("density").click()
    page.goto(page.url.split("#")[0] + f"#/{page_name}" + ("/p-demo-1" if page_name == "person" else ""))
    page.get_by_test_id(page_name).first.wait_for()
    page.wait_for_load_state("networkidle")
    SCREENS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENS / f"{page_name}-{width}-{language}{'-elder' * is_elder}.png", full_page=True)

    assert errors == []
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def violations(page):
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]
