import itertools
import re
import time

import numpy as np
import pytest
from playwright.sync_api import expect

from devices.simulators.recording import load_ecg
from tests.fixtures.running_demo import wait_until

pytestmark = [pytest.mark.web, pytest.mark.timeout(180)]


def tile(page, patient):
    return page.locator(f"[data-testid=tile][data-patient={patient}]")


def pixels(page, patient):
    return tile(page, patient).get_by_test_id("wave-ecg").evaluate("canvas => canvas.toDataURL()")


def last_sample_at(page, patient):
    text = tile(page, patient).get_by_test_id("wave-ecg").get_attribute("data-last-sample-at")
    return int(text or 0)


def shown_number(page, patient, key):
    text = tile(page, patient).get_by_test_id(f"value-{key}").inner_text()
    return float(text) if re.fullmatch(r"[\d.]+", text) else None


def test_wrong_password_is_said_in_words(open_page):
    page = open_page(name=None)

    page.get_by_test_id("login-name").fill("doctor")
    page.get_by_test_id("login-password").fill("guess")
    page.get_by_test_id("login-submit").click()

    expect(page.get_by_test_id("login-error")).to_be_visible()


def test_wall_shows_four_patients(open_page):
    page = open_page()

    expect(page.get_by_test_id("tile")).to_have_count(4)


def test_ecg_moves_at_true_speed(open_page):
    page = open_page()
    wait_until(lambda: last_sample_at(page, "p-demo-1"), within_s=20, what="the first sample on the canvas")
    before, picture, started = last_sample_at(page, "p-demo-1"), pixels(page, "p-demo-1"), time.monotonic()
    page.wait_for_timeout(4000)

    moved_ms = last_sample_at(page, "p-demo-1") - before
    assert pixels(page, "p-demo-1") != picture
    assert moved_ms == pytest.approx((time.monotonic() - started) * 1000, abs=900)


def annotated_rates(record, at_s):
    """60 / mean of the last five R-R intervals, over the last seconds of the annotation."""
    beats = load_ecg(record).beat_s
    ends = [beats[beats <= at_s - ago] for ago in np.arange(0, 3, 0.1)]
    return [60 / np.diff(end[-6:]).mean() for end in ends]


@pytest.mark.parametrize("bed", ["1", "3"])
def test_heart_rate_shown_agrees_with_the_annotation(open_page, running_demo, bed):
    page = open_page()
    device = f"h10-{bed}"
    wait_until(lambda: running_demo.simulator(device)["seconds"] > 15, within_s=30, what="15 s of replay")

    def agrees():
        place = running_demo.simulator(device)
        truth = annotated_rates(place["record"], place["seconds"])
        shown = shown_number(page, f"p-demo-{bed}", "heart_rate")
        return shown is not None and min(truth) - 2 <= shown <= max(truth) + 2

    wait_until(agrees, within_s=10, what="a heart rate within 2 bpm of the annotation")


def test_stopped_device_turns_the_tile_to_no_data_since(open_page, running_demo):
    page = open_page()
    wait_until(lambda: shown_number(page, "p-demo-2", "heart_rate"), within_s=20, what="a heart rate")
    silence = tile(page, "p-demo-2").get_by_test_id("silence")

    running_demo.set_fault("h10-2", "out_of_range", on=True)
    try:
        expect(silence).to_contain_text(re.compile(r"自 \d\d:\d\d:\d\d 起无数据.*蓝牙"), timeout=5000)
        number = tile(page, "p-demo-2").get_by_test_id("value-heart_rate")
        expect(number).to_have_attribute("data-stale", "true", timeout=5000)
    finally:
        running_demo.set_fault("h10-2", "out_of_range", on=False)
    expect(silence).to_have_count(0, timeout=25_000)


def test_score_shows_bounds_and_what_is_missing(open_page):
    page = open_page(language="en")

    score = tile(page, "p-demo-1").get_by_test_id("score").first
    expect(score).to_contain_text(re.compile(r"NEWS2\s+\d+\s*[–-]\s*\d+"), timeout=20_000)


def opacity(page):
    return float(page.get_by_test_id("dead-man").evaluate("veil => getComputedStyle(veil).opacity"))


def test_dead_server_makes_the_page_say_so_by_itself(open_page, running_demo):
    page = open_page()
    wait_until(lambda: last_sample_at(page, "p-demo-1"), within_s=20, what="a live wall")
    cloud = running_demo.child("cloud")

    cloud.suspend()
    try:
        wait_until(lambda: opacity(page) > 0.9, within_s=5.5, what="the dead man's band")
        expect(page.get_by_test_id("link-lost")).to_be_visible(timeout=5000)
    finally:
        cloud.resume()
    wait_until(lambda: opacity(page) < 0.1, within_s=20, what="the band to go")


def test_thawed_page_says_that_it_was_frozen(open_page):
    page = open_page()
    wait_until(lambda: last_sample_at(page, "p-demo-1"), within_s=20, what="a live wall")

    page.evaluate("setTimeout(() => { const end = Date.now() + 6000; while (Date.now() < end); }, 0); 0")
    page.wait_for_timeout(100)

    expect(page.get_by_test_id("thawed")).to_be_visible(timeout=15_000)


def test_foreign_patient_is_answered_as_unknown(open_page):
    page = open_page("#/bed/p-nobody")

    expect(page.get_by_test_id("tile")).to_have_count(0)
    assert "NaN" not in page.inner_text("body")


WATCH_SOCKETS = """
window.heard = [];
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...address) {
    super(...address);
    window.sockets.push(this);
    this.addEventListener("message", ({ data }) => {
      if (typeof data === "string") return;
      const length = new DataView(data).getUint32(0, true);
      window.heard.push(JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))));
    });
  }
};
"""


def holes(headers):
    """Of each stream, where its counter leaves samples out."""
    streams = {}
    for header in headers:
        span = (header["first"], header["first"] + header["n"])
        streams.setdefault((header["src"], header["stream"]), set()).add(span)
    ordered = {name: sorted(spans) for name, spans in streams.items()}
    return [
        (name, end, begin)
        for name, spans in ordered.items()
        for (_, end), (begin, _) in itertools.pairwise(spans)
        if begin > end
    ]


def test_wall_that_lost_its_connection_has_every_sample_of_the_waves(open_page):
    page = open_page()
    page.add_init_script(WATCH_SOCKETS)
    page.reload()
    wait_until(lambda: page.evaluate("heard.length") > 20, within_s=20, what="waves")
    page.wait_for_timeout(1500)
    page.evaluate("sockets.at(-1).close()")
    before = page.evaluate("heard.length")
    wait_until(lambda: page.evaluate("heard.length") > before + 20, within_s=20, what="waves again")

    assert "after=" in page.evaluate("sockets.at(-1).url")
    headers = [header for header in page.evaluate("heard") if not header["late"]]
    assert holes(headers) == []
    assert len({header["patient"] for header in headers}) == 4


def test_trend_comes_in_columns_and_is_drawn(open_page):
    page = open_page()
    with page.expect_response(lambda answer: "/trend" in answer.url) as asked:
        page.goto(f"{page.url.split('#')[0]}#/bed/p-demo-1")

    assert asked.value.headers["content-type"] == "application/vnd.qianli.trend+msgpack"
    expect(page.get_by_test_id("trend").locator("canvas").first).to_be_visible()
