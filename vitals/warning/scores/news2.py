"""NEWS2, the National Early Warning Score.

Reproduced from: Royal College of Physicians. National Early Warning Score (NEWS) 2: Standardising the
assessment of acute-illness severity in the NHS. Updated report of a working party. London: RCP, 2017.
Acknowledged as the RCP asks; the score is the RCP's, unaltered.

The chart has whole numbers (temperature: tenths) and says nothing about values between them, so a value is
rounded half up to the chart's resolution before its band is looked up; every number then has just one band.

Points of SpO2 depend on the scale that a clinician prescribed and, on scale 2, on oxygen. On the same scale,
oxygen never lowers the points of a saturation. The lowest and the highest points of all parts are therefore
reached together, and the sums of the parts' bounds are exact bounds of the total. Risk never falls when a
part rises, so the same two completions bound the risk.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from types import MappingProxyType

from vitals.observation import VitalKey
from vitals.warning.score import Score, ScorePart, ScoreResult
from vitals.warning.score_input import ChoiceInput, NumberInput, refuse_unknown_inputs

# Each row is the last charted value of a band and its points; the last row has no end.
Bands = tuple[tuple[Decimal | None, int], ...]


def _bands(*rows: tuple[str | None, int]) -> Bands:
    return tuple((None if end is None else Decimal(end), points) for end, points in rows)


_RR_BANDS = _bands(("8", 3), ("11", 1), ("20", 0), ("24", 2), (None, 3))
_SPO2_SCALE_1_BANDS = _bands(("91", 3), ("93", 2), ("95", 1), (None, 0))
_SPO2_SCALE_2_AIR_BANDS = _bands(("83", 3), ("85", 2), ("87", 1), (None, 0))
_SPO2_SCALE_2_OXYGEN_BANDS = _bands(
    ("83", 3), ("85", 2), ("87", 1), ("92", 0), ("94", 1), ("96", 2), (None, 3)
)
_SBP_BANDS = _bands(("90", 3), ("100", 2), ("110", 1), ("219", 0), (None, 3))
_PULSE_BANDS = _bands(("40", 3), ("50", 1), ("90", 0), ("110", 1), ("130", 2), (None, 3))
_TEMP_BANDS = _bands(("35.0", 3), ("36.0", 1), ("38.0", 0), ("39.0", 1), (None, 2))
_OXYGEN_POINTS: Mapping[str | int, int] = MappingProxyType({"air": 0, "oxygen": 2})
_ACVPU_POINTS: Mapping[str | int, int] = MappingProxyType({"A": 0, "C": 3, "V": 3, "P": 3, "U": 3})

_SPO2_BANDS: Mapping[tuple[int, str], Bands] = MappingProxyType(
    {
        (1, "air"): _SPO2_SCALE_1_BANDS,
        (1, "oxygen"): _SPO2_SCALE_1_BANDS,
        (2, "air"): _SPO2_SCALE_2_AIR_BANDS,
        (2, "oxygen"): _SPO2_SCALE_2_OXYGEN_BANDS,
    }
)

# Upper limits lie above what a body or a monitor can show and below what a wrong unit (98.6 degF) or a
# sensor's code for "no value" (511, 2047, 65535) would give.
_WHOLE = Decimal(1)
_RR = NumberInput(name="rr", unit="/min", low=0, high=300, resolution=_WHOLE)
_SPO2 = NumberInput(name="spo2", unit="%", low=0, high=100, resolution=_WHOLE)
_SPO2_SCALE = ChoiceInput(name="spo2_scale", choices=(1, 2))
_OXYGEN = ChoiceInput(name="oxygen", choices=tuple(_OXYGEN_POINTS))
_SBP = NumberInput(name="sbp", unit="mm[Hg]", low=0, high=500, resolution=_WHOLE)
_PULSE = NumberInput(name="pulse", unit="/min", low=0, high=500, resolution=_WHOLE)
_ACVPU = ChoiceInput(name="acvpu", choices=tuple(_ACVPU_POINTS))
_TEMP = NumberInput(name="temp", unit="Cel", low=0, high=60, resolution=Decimal("0.1"))
_INPUTS = (_RR, _SPO2, _SPO2_SCALE, _OXYGEN, _SBP, _PULSE, _ACVPU, _TEMP)


def _keys(*names: str) -> tuple[VitalKey, ...]:
    return tuple(VitalKey(name) for name in names)


NEWS2_INPUT_KEYS: Mapping[str, tuple[VitalKey, ...]] = MappingProxyType(
    {
        # The counted or device-chosen rate first; impedance follows the chest but can take the heartbeat for
        # breath in apnoea; CO2 is exact but lost with the cannula; pleth only infers breath from the pulse.
        "rr": _keys("resp_rate", "resp_rate_imp", "resp_rate_co2", "resp_rate_pleth"),
        "spo2": _keys("spo2"),
        # A clinician prescribes scale 2 for a person; no sensor knows it.
        "spo2_scale": (),
        # A flow of 0 L/min can mean air or a mask on another outlet: only a person can say "air".
        "oxygen": (),
        # NEWS2 rests on cuff pressures; an arterial line reads wrong while damped, flushed or off level.
        "sbp": _keys("nibp_sys", "abp_sys"),
        # ECG misses no beat when the finger is cold; the oximeter is continuous; a cuff counts only for the
        # length of one reading; of a pulse without a method least is known.
        "pulse": _keys("heart_rate", "pulse_rate_spo2", "pulse_rate_nibp", "pulse_rate"),
        "acvpu": _keys("acvpu"),
        # From the site nearest to core temperature outwards, then the unknown site. Skin is not among them:
        # it follows the room.
        "temp": _keys("temp_core", "temp_rect", "temp_tymp", "temp_oral", "temp_axil", "temp"),
    }
)


def compute_news2(inputs: Mapping[str, object]) -> ScoreResult:
    """Compute NEWS2, or its bounds while inputs are missing.

    Args:
        inputs: `rr` (/min), `spo2` (%), `spo2_scale` (1 or 2), `oxygen` ("air" or "oxygen"), `sbp` (mmHg),
            `pulse` (/min), `acvpu` ("A", "C", "V", "P" or "U") and `temp` (degrees Celsius). None and absent
            both mean missing. A missing scale is not taken for scale 1: SpO2 then stays unscored.

    Returns:
        The result, 0 to 20 points. On scale 2 with unknown oxygen SpO2 counts as missing too.

    Raises:
        ScoreInputInvalid: an input is outside its domain or has an unknown name.
    """
    refuse_unknown_inputs(inputs, declared=_INPUTS)
    spo2 = _SPO2.read_value(inputs.get("spo2"))
    scale = _SPO2_SCALE.read_value(inputs.get("spo2_scale"))
    oxygen = _OXYGEN.read_value(inputs.get("oxygen"))
    parts = (
        _score_number(_RR, inputs, bands=_RR_BANDS),
        _score_spo2(spo2, scale=scale, oxygen=oxygen),
        _score_choice(_OXYGEN, inputs, points_by_choice=_OXYGEN_POINTS),
        _score_number(_SBP, inputs, bands=_SBP_BANDS),
        _score_number(_PULSE, inputs, bands=_PULSE_BANDS),
        _score_choice(_ACVPU, inputs, points_by_choice=_ACVPU_POINTS),
        _score_number(_TEMP, inputs, bands=_TEMP_BANDS),
    )
    unscored = {part.input for part in parts if part.points is None}
    if scale is None:
        unscored.add(_SPO2_SCALE.name)
    return _judge(parts, missing=tuple(entry.name for entry in _INPUTS if entry.name in unscored))


def _judge(parts: tuple[ScorePart, ...], *, missing: tuple[str, ...]) -> ScoreResult:
    lowest = [part.points_min for part in parts]
    highest = [part.points_max for part in parts]
    complete = not missing
    return ScoreResult(
        parts=parts,
        missing=missing,
        total=sum(lowest) if complete else None,
        total_min=sum(lowest),
        total_max=sum(highest),
        single_3=3 in lowest if complete else None,
        risk=_risk(lowest) if complete else None,
        risk_min=_risk(lowest),
        risk_max=_risk(highest),
        monitoring=_monitoring(lowest) if complete else None,
    )


def _risk(points: list[int]) -> str:
    """RCP 2017, chart 2: thresholds and triggers."""
    total = sum(points)
    if total >= 7:
        return "high"
    if total >= 5:
        return "medium"
    return "low-medium" if 3 in points else "low"


def _monitoring(points: list[int]) -> str:
    """RCP 2017, chart 4: least frequency of monitoring."""
    if sum(points) == 0:
        return "minimum 12-hourly"
    return {"high": "continuous", "low": "minimum 4-6-hourly"}.get(_risk(points), "minimum 1-hourly")


def _find_points(bands: Bands, value: Decimal) -> int:
    return next(points for end, points in bands if end is None or value <= end)


def _score_number(declared: NumberInput, inputs: Mapping[str, object], *, bands: Bands) -> ScorePart:
    value = declared.read_value(inputs.get(declared.name))
    possible = [points for _, points in bands] if value is None else [_find_points(bands, value)]
    return _build_part(declared.name, _plain(value), possible=possible, known=value is not None)


def _score_choice(
    declared: ChoiceInput, inputs: Mapping[str, object], *, points_by_choice: Mapping[str | int, int]
) -> ScorePart:
    value = declared.read_value(inputs.get(declared.name))
    possible = list(points_by_choice.values()) if value is None else [points_by_choice[value]]
    return _build_part(declared.name, value, possible=possible, known=value is not None)


def _score_spo2(spo2: Decimal | None, *, scale: str | int | None, oxygen: str | int | None) -> ScorePart:
    tables = [
        bands
        for (its_scale, its_oxygen), bands in _SPO2_BANDS.items()
        if scale in (None, its_scale) and oxygen in (None, its_oxygen)
    ]
    if spo2 is None:
        possible = [points for bands in tables for _, points in bands]
    else:
        possible = [_find_points(bands, spo2) for bands in tables]
    known = spo2 is not None and (scale == 1 or (scale == 2 and oxygen is not None))
    return _build_part("spo2", _plain(spo2), possible=possible, known=known)


def _build_part(name: str, value: float | str | None, *, possible: Collection[int], known: bool) -> ScorePart:
    lowest, highest = min(possible), max(possible)
    return ScorePart(
        input=name,
        value=value,
        points=lowest if known else None,
        points_min=lowest,
        points_max=highest,
    )


def _plain(value: Decimal | None) -> float | None:
    """The charted number as the chart prints it: 24, 38.1."""
    if value is None:
        return None
    return int(value) if value.as_tuple().exponent == 0 else float(value)


SCORE = Score(
    name="NEWS2",
    title_en="National Early Warning Score 2",
    title_zh="英国国家早期预警评分第二版",
    source=(
        "Royal College of Physicians. National Early Warning Score (NEWS) 2: Standardising the assessment of "
        "acute-illness severity in the NHS. London: RCP, 2017"
    ),
    limits="Not for people under 16 years or in pregnancy. SpO2 scale 2 only on a clinician's decision.",
    inputs=_INPUTS,
    input_keys=NEWS2_INPUT_KEYS,
    compute=compute_news2,
)
