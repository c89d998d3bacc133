"""The agent's own panel in a real browser: typing a code, and seeing what became of it."""

import re
import threading
import time
from contextlib import closing

import pytest
import uvicorn

from cloud.listener import bind
from devices.radio import BleakRadio
from edge_agent.agent import open_agent
from edge_agent.panel import Panel
from edge_agent.people_context import OfflineRegistration, new_registration_name
from edge_agent.settings import AgentSettings
from tests.cloud import test_agent_door
from tests.fixtures.certificates import agent_identity

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
cloud, pace = test_agent_door.cloud, test_agent_door.pace


@pytest.fixture
def agent(tmp_path):
    settings = AgentSettings(home=tmp_path / "agent", agent="hut-1", mqtt_url="mqtt://127.0.0.1:9")
    (tmp_path / "agent").mkdir()
    opened = open_agent(settings, radio=BleakRadio())
    yield opened
    opened.spool.close()


@pytest.fixture
def page(agent, browser):
    server = uvicorn.Server(uvicorn.Config(Panel(agent=agent).build(), lifespan="off", log_level="warning"))
    with closing(bind("127.0.0.1", 0, setting="")) as bound:
        thread = threading.Thread(target=server.run, args=[[bound]])
        thread.start()
        context = browser.new_context(viewport={"width": 360, "height": 740})
        opened = context.new_page()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the panel does not start"
            time.sleep(0.02)
        opened.goto(f"http://127.0.0.1:{bound.getsockname()[1]}/")
        yield opened
        context.close()
        server.should_exit = True
        thread.join(10)


def type_code(page, text):
    page.get_by_label("注册码 Enrolment code").fill(text)
    page.get_by_role("button", name="加入 Join").click()


def answer_of(page, beginning):
    said = page.locator("#enrol-answer").filter(has_text=beginning)
    said.wait_for(timeout=15_000)
    return said.text_content()


def test_code_that_is_typed_lets_the_agent_in_and_is_gone_from_the_page(page, cloud):
    page.get_by_text("尚未加入").wait_for()
    type_code(page, str(cloud.invitation()))
    answer_of(page, "已加入 Joined")

    shown = page.locator("#membership").text_content()
    assert re.fullmatch(r"已加入,证书有效至 (\d{4}-\d\d-\d\d) Member, the certificate holds until \1", shown)
    assert page.get_by_label("注册码 Enrolment code").input_value() == ""


def test_wrong_code_is_told_and_stays_to_be_corrected(page, cloud):
    type_code(page, "not a code")
    assert "no enrolment code" in answer_of(page, "未能加入 Not joined")
    wrong = f"{cloud.wrong_code()}@127.0.0.1:{cloud.port}"
    type_code(page, wrong)

    assert answer_of(page, "does not open").startswith("未能加入 Not joined: ")
    assert page.get_by_label("注册码 Enrolment code").input_value() == wrong
    assert "尚未加入" in page.locator("#membership").text_content()


def test_member_sees_how_long_the_certificate_holds_on_a_phone(page, agent, tmp_path):
    made = agent_identity(tmp_path / "keys", "hut-1")
    agent.identity_files.pair.parent.mkdir(exist_ok=True)
    agent.identity_files.pair.write_bytes(made.pair.read_bytes())
    agent.identity_files.pair.chmod(0o600)
    ends = agent.membership.identity().ends_at
    page.get_by_text("证书有效至").wait_for()

    assert f"{ends.astimezone():%Y-%m-%d}" in page.locator("#membership").text_content()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_registration_that_the_cloud_refuses_is_shown_and_can_be_removed(page, agent, cloud):
    type_code(page, str(cloud.invitation()))
    answer_of(page, "已加入 Joined")
    mistyped = {"kind": "resident_id", "text": "330102199001010000"}
    name = new_registration_name()
    agent.people.add(OfflineRegistration(registration=name, name_zh="王五", identifiers=[mistyped]))
    agent.membership._keep()

    page.locator("#registrations").filter(has_text="王五: 云端拒绝").wait_for(timeout=15_000)
    page.get_by_role("button", name="移除 remove").click()
    page.locator("#registrations").filter(has_text="没有 none").wait_for(timeout=15_000)
    assert agent.people.waiting() == []
