"""Silence as data: an interval without values, and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vitals.observation import SourceId, VitalKey


class GapCause(StrEnum):
    """Why nothing was measured or nothing arrived."""

    SENSOR_OFF = "sensor_off"  # finger out, strap or electrode off the person
    SENSOR_FAULT = "sensor_fault"
    SEARCHING = "searching"  # on the person, as far as the device knows, but it finds no value
    DEMO_MODE = "demo_mode"  # the device sends demonstration values: refused
    BATTERY = "battery"
    OUT_OF_RANGE = "out_of_range"  # the radio link went away
    CABLE = "cable"  # the serial cable or port went away
    DEVICE_SILENT = "device_silent"  # connected, but it sends nothing
    AGENT_OFF = "agent_off"  # the agent stopped, or its machine
    UPLINK_OFF = "uplink_off"  # the agent cannot reach the broker
    BROKER_OFF = "broker_off"
    DATABASE_OFF = "database_off"
    SERVER_OFF = "server_off"
    UNBOUND = "unbound"  # the sensor is no longer this person's
    DROPPED_BY_POLICY = "dropped_by_policy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """An interval in which `src` gave nothing for `keys` (empty: for none of its keys).

    `ended_at` is None while it lasts. (src, keys, cause, started_at) names the same gap in every repetition.
    """

    src: SourceId
    keys: tuple[VitalKey, ...]
    cause: GapCause
    started_at: datetime
    ended_at: datetime | None = None
