"""What the agents of each kind measure, and how often; and values that look like a body's."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from qianli.fleet.scenario import Kind
from qianli.fleet.waves import GAIN, WaveSpec, rate
from vitals.observation import SourceId, VitalKey
from vitals.vocabulary import vital_code
from vitals.wave import WaveLayout
from vitals.wire.status import SourceDeclaration, declare_wave
from vitals.wire.topics import source_id

TABLE_ROWS = 3600
"""So many rows of values there are of each key; every agent begins at a row of its own."""
_LEVELS = {
    "heart_rate": 78.0, "spo2": 96.0, "pulse_rate_spo2": 78.0, "resp_rate": 16.0, "perfusion_index": 4.0,
    "temp_skin": 33.0, "temp_core": 37.0, "st_ii": 1.5, "pvc_rate": 4.0, "resp_rate_pleth": 16.0,
    "nibp_sys": 128.0, "nibp_dia": 78.0, "nibp_mean": 95.0, "pulse_rate_nibp": 78.0, "etco2": 37.0,
    "resp_rate_co2": 16.0, "abp_sys": 126.0, "abp_dia": 74.0, "abp_mean": 91.0, "temp_tymp": 36.8,
}  # fmt: skip
_HOME = (
    "heart_rate", "spo2", "pulse_rate_spo2", "resp_rate", "perfusion_index", "temp_skin", "st_ii", "pvc_rate",
)  # fmt: skip
_AMBULANCE = (*_HOME, "etco2", "abp_sys", "abp_dia", "abp_mean")
_AMBULANCE_WAVES = (
    WaveSpec(stream=VitalKey("ecg_i"), rate_hz=250, height=0.6),
    WaveSpec(stream=VitalKey("ecg_ii"), rate_hz=250),
    WaveSpec(stream=VitalKey("ecg_v2"), rate_hz=250, height=1.4),
    WaveSpec(stream=VitalKey("pleth"), rate_hz=125),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """One device of an agent: a batch of `rows` moments every `batch_s`, and waves in blocks of a second."""

    name: str
    keys: tuple[str, ...]
    batch_s: float
    rows: int
    waves: tuple[WaveSpec, ...] = ()

    def source(self, agent: str) -> SourceId:
        """Its opaque id at an agent."""
        return source_id(agent, driver="fleet", serial=self.name)

    def declare(self, agent: str, *, pace: float) -> SourceDeclaration:
        """What the birth message says of it."""
        cadence_s = self.batch_s / self.rows / pace
        return SourceDeclaration(
            src=self.source(agent),
            driver="fleet",
            title_zh="模拟设备",
            title_en=f"Simulated {self.name}",
            serial_hash=source_id("", driver="fleet", serial=f"{agent}-{self.name}"),
            cadence={VitalKey(key): cadence_s for key in self.keys},
            waves=[
                declare_wave(
                    WaveLayout(
                        stream=wave.stream, rate_hz=rate(wave, pace=pace), gain=GAIN, offset=0.0, unit="mV"
                    )
                )
                for wave in self.waves
            ],
            simulated=True,
        )


SENSORS = {
    Kind.HOME: (Sensor(name="monitor", keys=_HOME, batch_s=10, rows=10),),
    Kind.HOME_MINUTE: (Sensor(name="monitor", keys=_HOME, batch_s=60, rows=1),),
    Kind.AMBULANCE: (Sensor(name="monitor", keys=_AMBULANCE, batch_s=1, rows=1, waves=_AMBULANCE_WAVES),),
    Kind.HUT: (
        Sensor(name="oximeter", keys=("spo2", "pulse_rate_spo2"), batch_s=10, rows=10),
        Sensor(
            name="cuff", keys=("nibp_sys", "nibp_dia", "nibp_mean", "pulse_rate_nibp"), batch_s=300, rows=1
        ),
        Sensor(name="thermometer", keys=("temp_tymp",), batch_s=300, rows=1),
    ),
}


@cache
def values_of(key: str) -> tuple[float, ...]:
    """A slow swing around the usual level with a little noise, in tenths, so that sums are exact."""
    random = np.random.default_rng(sum(key.encode()))
    swing = 0.1 * np.sin(2 * np.pi * 6 * np.arange(TABLE_ROWS) / TABLE_ROWS)
    noise = random.normal(0, 0.02, TABLE_ROWS)
    return tuple(float(value) for value in np.round(_LEVELS[key] * (1 + swing + noise), 1))


@cache
def unit_of(key: str) -> str:
    """The unit of the vocabulary."""
    code = vital_code(key)
    assert code is not None, key  # noqa: S101 # a test reads every key of every sensor
    return code.ucum
