"""The vital signs that several scores take, under one name, with one domain and from the same sources.

Upper limits lie above what a body or a monitor can show and below what a wrong unit (98.6 degF) or a sensor's
code for "no value" (511, 2047, 65535) would give.
"""

from vitals.observation import VitalKey
from vitals.warning.score_input import TENTH, WHOLE, NumberInput


def vital_keys(*names: str) -> tuple[VitalKey, ...]:
    """Keys of the vocabulary, best first."""
    return tuple(VitalKey(name) for name in names)


# The counted or device-chosen rate first; impedance follows the chest but can take the heartbeat for breath
# in apnoea; CO2 is exact but lost with the cannula; pleth only infers breath from the pulse.
RR = NumberInput(
    name="rr",
    unit="/min",
    low=0,
    high=300,
    resolution=WHOLE,
    keys=vital_keys("resp_rate", "resp_rate_imp", "resp_rate_co2", "resp_rate_pleth"),
)
SPO2 = NumberInput(name="spo2", unit="%", low=0, high=100, resolution=WHOLE, keys=vital_keys("spo2"))
# Charts rest on cuff pressures; an arterial line reads wrong while damped, flushed or off level.
SBP = NumberInput(
    name="sbp", unit="mm[Hg]", low=0, high=500, resolution=WHOLE, keys=vital_keys("nibp_sys", "abp_sys")
)
DBP = NumberInput(
    name="dbp", unit="mm[Hg]", low=0, high=500, resolution=WHOLE, keys=vital_keys("nibp_dia", "abp_dia")
)
MAP = NumberInput(
    name="map", unit="mm[Hg]", low=0, high=500, resolution=WHOLE, keys=vital_keys("nibp_mean", "abp_mean")
)
# ECG misses no beat when the finger is cold; the oximeter is continuous; a cuff counts only for the length of
# one reading; of a pulse without a method least is known.
PULSE = NumberInput(
    name="pulse",
    unit="/min",
    low=0,
    high=500,
    resolution=WHOLE,
    keys=vital_keys("heart_rate", "pulse_rate_spo2", "pulse_rate_nibp", "pulse_rate"),
)
# From the site nearest to core temperature outwards, then the unknown site. Skin is not among them: it
# follows the room.
TEMP = NumberInput(
    name="temp",
    unit="Cel",
    low=0,
    high=60,
    resolution=TENTH,
    keys=vital_keys("temp_core", "temp_rect", "temp_tymp", "temp_oral", "temp_axil", "temp"),
)
AGE = NumberInput(name="age", unit="a", low=0, high=130, resolution=WHOLE, completed=True)
# A sum of ordered items; a mean of several examinations may lie between two of its numbers.
GCS = NumberInput(name="gcs", unit="{score}", low=3, high=15, resolution=WHOLE)
