import re

import pytest
from playwright.sync_api import expect

from cloud.live.routes import LOOK_AGAIN_EVERY_S

pytestmark = [pytest.mark.web, pytest.mark.timeout(180)]


def test_logout_in_one_tab_ends_every_other_tab(open_page):
    one = open_page("#/bed/p-demo-1")
    other = one.context.new_page()
    other.goto(one.url.split("#")[0])
    other.get_by_test_id("wall").wait_for()

    other.get_by_test_id("logout").click()

    expect(one.get_by_test_id("login-name")).to_be_visible(timeout=(LOOK_AGAIN_EVERY_S + 10) * 1000)
    expect(one.get_by_text("Demo")).to_have_count(0)


def test_administrator_is_told_why_there_is_no_patient(open_page):
    page = open_page("#/wall", name="admin", language="en")

    expect(page.get_by_test_id("wall-empty")).to_have_text(re.compile("administrator does not see patients"))
    expect(page.get_by_test_id("tile")).to_have_count(0)
