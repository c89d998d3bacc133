"""A store with three hours of one source, and the same values in a dictionary."""

import random

from cloud.series.model import HOUR_MS, BatchRow, Held
from cloud.series.stores.choice import choose_series
from tests.cloud.series.batches import KEYS, START_MS, batch
from tests.fixtures.stored import bring_together
from vitals.wire.batch import encode_batch

DAY = 3 * 3600
KEY = KEYS[0]


class Filled:
    def __init__(self, database, *, form, shift_us=0):
        database.execute("INSERT INTO source (src) VALUES ('s-1'), ('s-2')")
        self.database = database
        self.store = choose_series(database)
        self.src_no = database.execute("SELECT src_no FROM source WHERE src = 's-1'").fetchone()[0]
        chance = random.Random(7)
        self.values = {}
        rows = []
        for s, first in enumerate(range(0, DAY, 10), 1):
            if 4000 <= first < 5000:
                continue
            rates = [float(chance.randint(50, 120)) for _ in range(10)]
            self.values |= {(KEY, first + n): rate for n, rate in enumerate(rates)}
            self.values["spo2", first] = chance.randint(900, 1000) / 10
            columns = {KEY: rates, "spo2": [self.values["spo2", first], *[None] * 9]}
            message = batch(s, times=range(first, first + 10), columns=columns)
            t0_ms = message.t0
            rows.append(BatchRow(self.src_no, 1, t0_ms, s, t0_ms + 9000, s, shift_us, encode_batch(message)))
        self.store.append(database, rows)
        if form != "messages":
            self.compact(hours=3 if form == "hours" else 2)

    def compact(self, *, hours):
        bring_together(self.database, before_ms=START_MS + hours * HOUR_MS)

    def held(self, from_s, to_s):
        return Held(
            src="s-1",
            src_no=self.src_no,
            from_us=(START_MS + from_s * 1000) * 1000,
            to_us=(START_MS + to_s * 1000) * 1000,
        )

    def stored(self):
        cells = self.store.iterate(self.database, [self.held(-(10**6), 10**6)])
        found = [((cell["key"], second_of(cell)), cell["value"]) for cell in cells]
        assert len(dict(found)) == len(found)
        return dict(found)


def second_of(cell):
    return round(cell["measured_at"].timestamp()) - START_MS // 1000


def steps_by_hand(values, ranges, step_s):
    found = {}
    for (key, second), value in sorted(values.items(), key=lambda item: item[0][1]):
        if any(first <= second < end for first, end in ranges):
            found.setdefault((key, second - second % step_s), []).append(value)
    return {place: (min(some), max(some), some[0], some[-1]) for place, some in found.items()}
