"""Batches of one source, random and by hand; times are seconds of one hour, never twice the same."""

from hypothesis import strategies as st

from tests.fixtures.wire_messages import BOOT, LINEAGE, SOURCE
from vitals.observation import Flag, Quality
from vitals.wire.batch import ClockState, VitalsBatch
from vitals.wire.topics import Lane

SRC = SOURCE
KEYS = ("heart_rate", "spo2", "temp")
START_MS = 1_764_115_200_000  # a whole hour


def batch(s, *, times, columns, units=None, **fields):
    """A message; `times` are seconds after `START_MS`."""
    times = list(times)
    return VitalsBatch(
        v=1,
        ln=LINEAGE,
        boot=BOOT,
        lane=fields.pop("lane", Lane.LIVE),
        s=s,
        src=fields.pop("src", SRC),
        t0=START_MS + times[0] * 1000,
        dt=[(second - times[0]) * 1000 for second in times],
        rx=[(second - times[0]) * 1000 + 40 for second in times],
        m=columns,
        u=units or dict.fromkeys(columns, "1"),
        clk=ClockState(),
        sent=START_MS + times[-1] * 1000 + 100,
        **fields,
    )


values = st.one_of(
    st.none(),
    st.integers(30, 220).map(float),
    st.integers(300, 420).map(lambda tenths: tenths / 10),
    st.floats(-1e6, 1e6, allow_nan=False),
)


@st.composite
def batches(draw):
    """Any message that the wire contract allows for continuous values."""
    times = draw(st.lists(st.integers(0, 200), min_size=1, max_size=8, unique=True))
    rows = len(times)
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, unique=True))
    columns = {key: draw(st.lists(values, min_size=rows, max_size=rows)) for key in keys}
    flagged = draw(st.sampled_from(keys))
    row = str(draw(st.integers(0, rows - 1)))
    fields = {}
    if draw(st.booleans()):
        fields["f"] = {flagged: {row: draw(st.lists(st.sampled_from([Flag.NO_CONTACT, Flag.MOVEMENT])))}}
    if draw(st.booleans()):
        fields["q"] = {flagged: draw(st.lists(st.sampled_from(list(Quality)), min_size=rows, max_size=rows))}
    if draw(st.booleans()):
        fields["dv"] = {flagged: {row: "2025-11-26T00:00:01"}}
    return batch(draw(st.integers(1, 50)), times=times, columns=columns, h=draw(st.integers(0, 1)), **fields)
