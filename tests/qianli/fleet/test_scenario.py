from collections import Counter

import pytest

from qianli.fleet.errors import ScenarioInvalid
from qianli.fleet.scenario import ClockError, ClockStep, Outage, Silences, members, read_scenario

TWO = """
seed = 7
[[group]]
name = "town"
kind = "home"
number = 5
outages = [{ from_s = 10, to_s = 20 }]
[[group]]
name = "road"
kind = "ambulance"
number = 2
"""


@pytest.fixture
def scenario(tmp_path):
    def read(text=TWO):
        (tmp_path / "s.toml").write_text(text)
        return read_scenario(tmp_path / "s.toml")

    return read


def test_shards_share_the_fleet_without_a_rest(scenario):
    whole = [member.name for member in members(scenario())]
    shared = Counter(member.name for first in (1, 2, 3) for member in members(scenario(), shard=(first, 3)))

    assert len(whole) == 7
    assert shared == Counter(whole)


@pytest.mark.parametrize(
    "text",
    [
        TWO.replace("number", "nunber"),
        TWO.replace("from_s", "form_s"),
        TWO.replace('"ambulance"', '"helicopter"'),
        TWO.replace('"road"', '"town"'),
        TWO.replace("number = 2", "number = 0"),
        "seed = 1",
        "[[group",
    ],
    ids=["misspelt", "misspelt inside", "kind", "same name", "nobody", "no group", "no toml"],
)
def test_what_cannot_be_is_refused_with_the_file(scenario, text):
    with pytest.raises(ScenarioInvalid, match=r"s\.toml"):
        scenario(text)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ScenarioInvalid):
        read_scenario(tmp_path / "none.toml")


def test_link_is_away_within_an_outage_and_only_there(scenario):
    town, road = scenario().group

    assert [town.is_out(at_s) for at_s in (9.9, 10, 19.9, 20)] == [False, True, True, False]
    assert not road.is_out(15)


def test_flapping_link_comes_and_goes():
    outage = Outage(from_s=10, to_s=16, flap_s=2)

    assert [outage.is_out(at_s) for at_s in (10, 12, 14, 16)] == [True, False, True, False]


def test_clock_drifts_and_steps():
    clock = ClockError(offset_s=-1, drift_ppm=100, steps=(ClockStep(at_s=60, by_s=3),))

    assert [clock.error_s(at_s) for at_s in (0, 50, 100)] == pytest.approx([-1, -0.995, 2.01])


def test_sensor_is_silent_at_the_end_of_each_period():
    silences = Silences(every_s=10, for_s=3)

    assert [silences.is_silent(at_s) for at_s in (0, 6.9, 7, 9.9, 10)] == [False, False, True, True, False]
