"""The Content-Security-Policy: no page of ours does what it forbids, and the browser does keep to it."""

import pytest

from tests.web.conftest import log_in
from tests.web.test_pages import PAGES

pytestmark = [pytest.mark.web, pytest.mark.timeout(240)]


def test_no_page_does_what_the_policy_forbids(open_page, running_demo):
    said, seen = [], []
    for name in sorted(PAGES.keys() & running_demo.passwords.keys()):
        page = open_page(name=None)
        page.on("console", lambda message: said.append(message.text))
        log_in(page, name, running_demo.passwords[name])
        page.get_by_test_id("login-submit").wait_for(state="detached")
        base = page.url.split("#")[0]
        for page_name in PAGES[name]:
            page.goto(f"{base}#/{page_name}" + ("/p-demo-1" if page_name == "person" else ""))
            page.get_by_test_id(page_name).first.wait_for()
            page.wait_for_timeout(500)
            seen.append(page_name)

    assert {"wall", "person", "staff", "devices"} <= set(seen)
    assert [text for text in said if "Content Security Policy" in text] == []


def test_script_that_somebody_writes_into_a_page_does_not_run(open_page):
    page = open_page(name=None)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.evaluate(
        "() => { const script = document.createElement('script'); script.textContent = 'window.ran = 1';"
        " document.body.append(script); document.body.insertAdjacentHTML('beforeend',"
        ' \'<img src=x onerror="window.ran = 2"><p id=probe style="color: red">x</p>\'); }'
    )
    page.wait_for_timeout(500)

    assert page.evaluate("window.ran") is None
    assert page.evaluate("document.getElementById('probe').style.color") == ""
    assert any("Content Security Policy" in text for text in said)
