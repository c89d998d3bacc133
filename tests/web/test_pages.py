"""Every page of every role: it fits, nothing fails in it, and axe finds nothing (WCAG 2.2 A and AA)."""

import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.web, pytest.mark.timeout(240)]

AXE = Path(__file__).parents[2] / "cloud/web/node_modules/axe-core/axe.min.js"
SCREENS = Path(os.environ.get("QIANLI_SCREENSHOTS", "screenshots"))
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
# A number that reaches into its neighbour can be read as another one.
# A pressure is measured as wide as a cuff can make it, whatever it has measured so far.
CUT_NUMBERS = """() => {
    const numbers = document.querySelectorAll('.pressure [data-testid^="value-"]');
    const texts = [...numbers].map(number => number.firstChild);
    const shown = texts.map(text => text.data);
    texts.forEach(text => { text.data = "288"; });
    const cut = [...document.querySelectorAll('[data-testid^="value-"]')]
        .map(value => value.closest(".numeric, .pressure"))
        .filter(box => box && box.scrollWidth > box.clientWidth)
        .map(box => box.textContent);
    texts.forEach((text, number) => { text.data = shown[number]; });
    return cut;
}"""
PAGES = {
    "doctor": ["wall", "people", "register", "person", "unclaimed", "account"],
    "admin": ["places", "staff", "duty", "devices", "pipeline", "account"],
    "auditor": ["audit", "reviews"],
    "resident": ["me"],
}
SHAPES = [
    pytest.param(390, "zh", False, id="phone-zh"),
    pytest.param(1280, "en", False, id="desktop-en"),
    pytest.param(390, "en", True, id="phone-en-elder"),
    pytest.param(1280, "zh", True, id="desktop-zh-elder"),
]


@pytest.mark.parametrize(("width", "language", "is_elder"), SHAPES)
@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_and_are_accessible(open_page, name, width, language, is_elder):
    page = open_page("", width=width, height=844, language=language, name=name)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    asked = Asked(page)
    if is_elder:
        page.get_by_test_id("density").click()
    SCREENS.mkdir(exist_ok=True)
    found = {}
    for page_name in PAGES[name]:
        page.goto(page.url.split("#")[0] + f"#/{page_name}" + ("/p-demo-1" if page_name == "person" else ""))
        page.get_by_test_id(page_name).first.wait_for()
        asked.wait_until_quiet()
        page.screenshot(
            path=SCREENS / f"{page_name}-{width}-{language}{'-elder' * is_elder}.png", full_page=True
        )
        too_wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        found[page_name] = (violations(page), errors.copy(), too_wide, page.evaluate(CUT_NUMBERS))

    assert found == dict.fromkeys(PAGES[name], ([], [], 0, []))


class Asked:
    """The requests that are not answered yet. "networkidle" never comes on a page that holds a WebSocket."""

    def __init__(self, page):
        self.page = page
        self.requests = set()
        page.on("request", self.begin)
        page.on("requestfinished", self.end)
        page.on("requestfailed", self.end)

    def begin(self, request):
        self.requests.add(request)

    def end(self, request):
        self.requests.discard(request)

    def wait_until_quiet(self, *, for_ms=300):
        quiet = 0
        while quiet < for_ms:
            self.page.wait_for_timeout(50)
            quiet = 0 if self.requests else quiet + 50


def violations(page):
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]
