"""What a person sees of a page whose script has stopped: the compositor's frames, not the script's."""

import asyncio
import shutil

import pytest
from playwright.async_api import async_playwright

from tests.web.conftest import QUIET

pytestmark = [pytest.mark.web, pytest.mark.timeout(120)]

FREEZE_S = 7
BUSY = f"setTimeout(() => {{ const end = Date.now() + {FREEZE_S * 1000}; while (Date.now() < end); }}, 0); 0"
RED_SHARE = """async data => {
  const image = new Image();
  image.src = "data:image/png;base64," + data;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data: pixels } = context.getImageData(0, 0, image.width, Math.round(image.height / 4));
  let red = 0;
  for (let i = 0; i < pixels.length; i += 4)
    if (pixels[i] > 150 && pixels[i + 1] < 60 && pixels[i + 2] < 70) red += 1;
  return red / (pixels.length / 4);
}"""


async def frames_during_freeze(page):
    """Frames that the compositor gave while the script was busy."""
    frames = []
    session = await page.context.new_cdp_session(page)
    acknowledging = []

    def keep(frame):
        frames.append(frame["data"])
        send = session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})
        acknowledging.append(asyncio.ensure_future(send))

    session.on("Page.screencastFrame", keep)
    await session.send("Page.startScreencast", {"format": "png", "everyNthFrame": 1})
    await page.evaluate(BUSY)
    frames.clear()
    await asyncio.sleep(FREEZE_S - 1)
    seen = list(frames)
    await asyncio.sleep(2)
    await session.send("Page.stopScreencast")
    await asyncio.gather(*acknowledging, return_exceptions=True)
    return seen


async def test_frozen_script_turns_the_page_red_by_itself(running_demo):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium fonts-noto-cjk)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=QUIET)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(running_demo.address)
        await page.get_by_test_id("login-name").fill("doctor")
        await page.get_by_test_id("login-password").fill(running_demo.passwords["doctor"])
        await page.get_by_test_id("login-submit").click()
        await page.get_by_test_id("tile").first.wait_for()
        await asyncio.sleep(3)

        frames = await frames_during_freeze(page)

        judge = await browser.new_page()
        shares = [await judge.evaluate(RED_SHARE, data) for data in frames]
        await browser.close()
    assert shares, "the compositor gave no frame while the script was busy"
    assert shares[-1] > 0.15 > shares[0]
