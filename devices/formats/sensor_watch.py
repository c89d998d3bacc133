"""Turns what every frame says about the sensor into the moments when that changes."""

from datetime import datetime

from devices.driver import SensorState
from vitals.gap import GapCause
from vitals.observation import VitalKey


class SensorWatch:
    """Remembers the last cause; a session begins well. One cause at a time: a new one ends the one before."""

    def __init__(self) -> None:
        self._cause: GapCause | None = None
        self._keys: tuple[VitalKey, ...] = ()

    def note(self, cause: GapCause | None, keys: tuple[VitalKey, ...], *, at: datetime) -> list[SensorState]:
        """What changed with this frame: nothing, an end, a beginning, or an end and a beginning."""
        if cause is self._cause and (cause is None or keys == self._keys):
            return []
        changes = []
        if self._cause is not None:
            changes.append(SensorState(cause=None, keys=self._keys, at=at))
        if cause is not None:
            changes.append(SensorState(cause=cause, keys=keys, at=at))
        self._cause, self._keys = cause, keys
        return changes
