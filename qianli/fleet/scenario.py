"""What a fleet is made of, as its TOML file says it. All times are seconds since the start of the run.

seed = 7
duration_s = 600

[[group]]
name = "town"
kind = "home"            # home | home_minute | ambulance | hut
number = 500
clock = { offset_s = -2.5, drift_ppm = 50, source = "rtc", steps = [{ at_s = 60, by_s = 3.001 }] }
outages = [{ from_s = 100, to_s = 160 }, { from_s = 200, to_s = 230, flap_s = 2 }]
silences = { every_s = 90, for_s = 20, cause = "sensor_off" }
duplicates = 0.01        # share of messages that are sent twice
shuffle = 8              # messages in a row that are sent in any order
"""

import os
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from qianli.fleet.errors import ScenarioInvalid
from vitals.gap import GapCause

_Positive = Annotated[float, Meta(gt=0)]
_NotNegative = Annotated[float, Meta(ge=0)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_NAME = r"^[a-z0-9][a-z0-9-]{0,20}$"


class Kind(StrEnum):
    """What the agents of a group are; `qianli.fleet.sensors` says what they measure."""

    HOME = "home"
    HOME_MINUTE = "home_minute"
    AMBULANCE = "ambulance"
    HUT = "hut"


class Outage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No agent of the group has a link; with `flap_s` it comes and goes at that pace."""

    from_s: _NotNegative
    to_s: _Positive
    flap_s: _Positive | None = None

    def is_out(self, at_s: float) -> bool:
        """Whether there is no link at that moment."""
        if not self.from_s <= at_s < self.to_s:
            return False
        return self.flap_s is None or int((at_s - self.from_s) / self.flap_s) % 2 == 0


class ClockStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The clock jumps; whole seconds backwards would measure the same moments twice."""

    at_s: _NotNegative
    by_s: float


class ClockError(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the clock of every agent of the group is wrong, and what it says of itself."""

    offset_s: float = 0.0
    drift_ppm: float = 0.0
    source: str = "ntp"  # ntp | rtc | none
    steps: tuple[ClockStep, ...] = ()

    def error_s(self, at_s: float) -> float:
        """By how much it is ahead."""
        steps = sum(step.by_s for step in self.steps if step.at_s <= at_s)
        return self.offset_s + self.drift_ppm * 1e-6 * at_s + steps


class Silences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Again and again a sensor gives nothing and says why."""

    every_s: _Positive
    for_s: _Positive
    cause: GapCause = GapCause.SENSOR_OFF

    def is_silent(self, at_s: float) -> bool:
        """Whether the sensor is silent then; each period begins with its voice."""
        return at_s % self.every_s >= self.every_s - self.for_s


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Agents that are alike."""

    name: Annotated[str, Meta(pattern=_NAME)]
    kind: Kind
    number: Annotated[int, Meta(ge=1, le=1_000_000)]
    pace: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """So many times faster than real: each message tells of a shorter time."""
    clock: ClockError = ClockError()
    outages: tuple[Outage, ...] = ()
    silences: Silences | None = None
    duplicates: _Share = 0.0
    shuffle: Annotated[int, Meta(ge=1, le=64)] = 1

    def is_out(self, at_s: float) -> bool:
        """Whether the link is away at that moment."""
        return any(outage.is_out(at_s) for outage in self.outages)


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole fleet."""

    group: Annotated[tuple[Group, ...], Meta(min_length=1)]
    seed: int = 1
    duration_s: _Positive | None = None
    """For so long the agents measure; without it until they are stopped."""
    connects_per_s: _Positive = 200.0
    """How many connections begin in a second, at the start and after an outage."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One agent of the fleet, whichever shard it runs in."""

    name: str
    group: Group


def find_scenario(name: str) -> Path:
    """A file; or one that comes along, by its name without the ending."""
    packaged = Path(__file__).parent / "scenarios" / f"{name}.toml"
    return packaged if packaged.exists() and not Path(name).exists() else Path(name)


def read_scenario(path: Path) -> Scenario:
    """Read the TOML file.

    Raises:
        ScenarioInvalid: it cannot be read, or says what cannot be.
    """
    try:
        scenario = msgspec.toml.decode(path.read_bytes(), type=Scenario)
    except (OSError, msgspec.MsgspecError) as error:
        raise ScenarioInvalid(os.fspath(path), str(error)) from error
    names = [group.name for group in scenario.group]
    if len(set(names)) < len(names):
        raise ScenarioInvalid(os.fspath(path), "two groups have the same name")
    return scenario


def members(scenario: Scenario, *, shard: tuple[int, int] = (1, 1)) -> list[Member]:
    """The agents of one shard (i of n, from 1): every n-th of the whole fleet; names do not depend on it."""
    starts = [0, *accumulate(group.number for group in scenario.group)]
    first, of = shard
    return [
        Member(name=f"{group.name}-{number:05d}", group=group)
        for start, group in zip(starts, scenario.group, strict=False)
        for number in range(group.number)
        if (start + number) % of == first - 1
    ]
