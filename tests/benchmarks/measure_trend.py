"""A day of eight vitals in a thousand pixels: what its answer weighs and costs as JSON and in columns.

    python -m tests.benchmarks.measure_trend

The server's part is the encoding alone, from the numbers that the store gives; the browser's from the bytes
of the answer to columns, in Chromium, with the pages' own code. Values are those of measure_store.
"""

import gzip
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import numpy as np
import zstandard
from playwright.sync_api import sync_playwright

from cloud.series.model import Block, Column
from cloud.series.rollup import merge_steps, roll_up
from cloud.trend.frames import MEDIA_TYPE, encode_trend
from cloud.trend.model import Series, choose_step_ms
from cloud.trend.routes import encode_text
from cloud.trend.service import Trend
from tests.benchmarks.measure_demo import commit
from tests.benchmarks.measure_store import START_MS, walks
from tests.web.conftest import QUIET
from vitals.observation import VitalKey
from vitals.wire.batch import from_ms

WEB = Path(__file__).resolve().parents[2] / "cloud" / "web"
ROUNDS = 200
SECONDS = 86_400
DECODE = """
async ({text, columns, rounds}) => {
  const { decodeTrend } = await import("https://measured.test/answer.js");
  const bytes = Uint8Array.from(atob(columns), (letter) => letter.charCodeAt(0));
  const encoded = new TextEncoder().encode(text);
  const median = (work) => {
    const took = [];
    for (let round = 0; round < rounds; round++) {
      const began = performance.now();
      for (let times = 0; times < 5; times++) work();
      took.push((performance.now() - began) / 5);
    }
    return took.sort((a, b) => a - b)[rounds >> 1];
  };
  return {
    json: median(() => JSON.parse(new TextDecoder().decode(encoded))),
    columns: median(() => decodeTrend(bytes)),
  };
}
"""


def day(pixels):
    """As the service has it before it answers."""
    t_ms = START_MS + 1000 * np.arange(SECONDS, dtype=np.int64)
    block = Block(
        heads=np.zeros((1, 6), np.int64),
        message=np.zeros(SECONDS, np.int64),
        t_ms=t_ms,
        received_ms=t_ms,
        columns={(VitalKey(key), "1"): Column(values) for key, values in walks(7, SECONDS).items()},
    )
    from_at = from_ms(START_MS)
    to_at = from_at + timedelta(seconds=SECONDS)
    step_ms = choose_step_ms(from_at, to_at, pixels=pixels)
    return Trend(
        from_at=from_at,
        to_at=to_at,
        step_ms=step_ms,
        measured_since_at=from_at,
        series={
            key: Series(unit=unit, steps=merge_steps([steps], step_ms=step_ms))
            for (key, unit), steps in roll_up(block, step_ms=step_ms).items()
        },
        gaps=[],
    )


def cpu_ms(work):
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append((time.process_time() - began) * 1000)
    return statistics.median(taken)


def bundle(folder):
    """The pages' own decoder as one module."""
    config = folder / "vite.config.mjs"
    lib = {"entry": str(WEB / "src" / "trend" / "answer.ts"), "formats": ["es"], "fileName": "answer"}
    said = {"root": str(WEB), "logLevel": "error", "build": {"outDir": str(folder / "out"), "lib": lib}}
    config.write_text(f"export default {json.dumps(said)}")
    vite = WEB / "node_modules" / ".bin" / "vite"
    subprocess.run([vite, "build", "--config", config], check=True, cwd=WEB)
    (made,) = (folder / "out").glob("answer*.*js")
    return made.read_text()


def decode_ms(module, text, columns):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page()
        page.route(
            "https://measured.test/", lambda route: route.fulfill(body="<p>", content_type="text/html")
        )
        page.route(
            "https://measured.test/answer.js",
            lambda route: route.fulfill(body=module, content_type="text/javascript"),
        )
        page.goto("https://measured.test/")
        asked = {"text": text.decode(), "columns": b64encode(columns).decode(), "rounds": ROUNDS}
        found = page.evaluate(DECODE, asked)
        browser.close()
    return found


def main():
    trend = day(1000)
    text, columns = encode_text(trend), encode_trend(trend)
    with tempfile.TemporaryDirectory() as folder:
        module = bundle(Path(folder))
    decoding = decode_ms(module, text, columns)
    zstd = zstandard.ZstdCompressor(level=3).compress
    told = {
        "commit": commit(),
        "steps": len(next(iter(trend.series.values())).steps.starts_ms),
        "keys": len(trend.series),
        "decoder_bytes": len(module),
    }
    for name, kind, content, encode in (
        ("json", "application/json", text, encode_text),
        ("columns", MEDIA_TYPE, columns, encode_trend),
    ):
        told[name] = {
            "type": kind,
            "bytes": len(content),
            "gzip_bytes": len(gzip.compress(content, 6)),
            "zstd_bytes": len(zstd(content)),
            "encode_cpu_ms": round(cpu_ms(lambda encode=encode: encode(trend)), 3),
            "gzip_cpu_ms": round(cpu_ms(lambda content=content: gzip.compress(content, 6)), 3),
            "browser_decode_ms": round(decoding[name], 3),
        }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
