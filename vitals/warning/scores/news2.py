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

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from vitals.warning.bands import Bands, chart_bands
from vitals.warning.parts import ChoicePart, band
from vitals.warning.score import Score
from vitals.warning.score_input import ChoiceInput, Given, GivenValue, InputForm
from vitals.warning.score_result import Outcome, ScorePart, ScoreResult, sum_points
from vitals.warning.vital_inputs import PULSE, RR, SBP, SPO2, TEMP, vital_keys

# A clinician prescribes scale 2 for a person; no sensor knows it.
_SPO2_SCALE = ChoiceInput(name="spo2_scale", choices=(1, 2))
# A flow of 0 L/min can mean air or a mask on another outlet: only a person can say "air".
_OXYGEN = ChoiceInput(name="oxygen", choices=("air", "oxygen"))
_ACVPU = ChoiceInput(name="acvpu", choices=("A", "C", "V", "P", "U"), keys=vital_keys("acvpu"))
_FORM = InputForm(inputs=(RR, SPO2, _SPO2_SCALE, _OXYGEN, SBP, PULSE, _ACVPU, TEMP))

_SPO2_SCALE_1 = chart_bands(SPO2, ("91", 3), ("93", 2), ("95", 1), (None, 0))
_SPO2_SCALE_2_AIR = chart_bands(SPO2, ("83", 3), ("85", 2), ("87", 1), (None, 0))
_SPO2_SCALE_2_OXYGEN = chart_bands(
    SPO2, ("83", 3), ("85", 2), ("87", 1), ("92", 0), ("94", 1), ("96", 2), (None, 3)
)
# The tables that may apply, by scale and oxygen: one if both are known.
_SPO2_TABLES: Mapping[tuple[GivenValue, GivenValue], tuple[Bands, ...]] = MappingProxyType(
    {
        (1, "air"): (_SPO2_SCALE_1,),
        (1, "oxygen"): (_SPO2_SCALE_1,),
        (1, None): (_SPO2_SCALE_1,),
        (2, "air"): (_SPO2_SCALE_2_AIR,),
        (2, "oxygen"): (_SPO2_SCALE_2_OXYGEN,),
        (2, None): (_SPO2_SCALE_2_AIR, _SPO2_SCALE_2_OXYGEN),
        (None, "air"): (_SPO2_SCALE_1, _SPO2_SCALE_2_AIR),
        (None, "oxygen"): (_SPO2_SCALE_1, _SPO2_SCALE_2_OXYGEN),
        (None, None): (_SPO2_SCALE_1, _SPO2_SCALE_2_AIR, _SPO2_SCALE_2_OXYGEN),
    }
)
# Every table reaches from 0 to 3: a missing saturation leaves all points open.
_SPO2_OPEN = ScorePart("spo2", None, None, 0, 3)
_RR_PART = band(RR, ("8", 3), ("11", 1), ("20", 0), ("24", 2), (None, 3))
_OXYGEN_PART = ChoicePart(name="oxygen", choice=_OXYGEN, points_by_choice={"air": 0, "oxygen": 2})
_SBP_PART = band(SBP, ("90", 3), ("100", 2), ("110", 1), ("219", 0), (None, 3))
_PULSE_PART = band(PULSE, ("40", 3), ("50", 1), ("90", 0), ("110", 1), ("130", 2), (None, 3))
_ACVPU_PART = ChoicePart(
    name="acvpu", choice=_ACVPU, points_by_choice={"A": 0, "C": 3, "V": 3, "P": 3, "U": 3}
)
_TEMP_PART = band(TEMP, ("35.0", 3), ("36.0", 1), ("38.0", 0), ("39.0", 1), (None, 2))


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
    given = _FORM.read(inputs)
    parts = (
        _RR_PART.judge(given),
        _judge_spo2(given),
        _OXYGEN_PART.judge(given),
        _SBP_PART.judge(given),
        _PULSE_PART.judge(given),
        _ACVPU_PART.judge(given),
        _TEMP_PART.judge(given),
    )
    lowest, highest = sum_points(parts)
    missing = _find_missing(given, parts)
    single_3_min = single_3_max = False
    for part in parts:
        single_3_min = single_3_min or part.points_min == 3
        single_3_max = single_3_max or part.points_max == 3
    return ScoreResult(
        parts=parts,
        missing=missing,
        total=None if missing else lowest,
        total_min=lowest,
        total_max=highest,
        outcomes=_conclude((lowest, single_3_min), (highest, single_3_max), complete=not missing),
    )


def _judge_spo2(given: Given) -> ScorePart:
    value, scale, oxygen = given["spo2"], given["spo2_scale"], given["oxygen"]
    if not isinstance(value, int | float):
        return _SPO2_OPEN
    tables = _SPO2_TABLES[scale, oxygen]
    if scale is not None and len(tables) == 1:
        points = tables[0].find_points(value)
        return ScorePart("spo2", value, points, points, points, SPO2)
    possible = [table.find_points(value) for table in tables]
    return ScorePart("spo2", value, None, min(possible), max(possible), SPO2)


def _find_missing(given: Given, parts: tuple[ScorePart, ...]) -> tuple[str, ...]:
    unscored = {part.input for part in parts if part.points is None}
    if given["spo2_scale"] is None:
        unscored.add("spo2_scale")
    return tuple([entry.name for entry in _FORM.inputs if entry.name in unscored]) if unscored else ()


@cache
def _conclude(lowest: tuple[int, bool], highest: tuple[int, bool], *, complete: bool) -> tuple[Outcome, ...]:
    """What follows from the least and the greatest total, each with whether one parameter has 3 points."""
    risk, risk_max = _risk(*lowest), _risk(*highest)
    if not complete:
        return (Outcome(name="risk", value=None, lowest=risk, highest=risk_max, null_while_open=False),)
    single_3, monitoring = lowest[1], _monitoring(*lowest)
    return (
        Outcome(name="single_3", value=single_3, lowest=single_3, highest=single_3),
        Outcome(name="risk", value=risk, lowest=risk, highest=risk),
        Outcome(name="monitoring", value=monitoring, lowest=monitoring, highest=monitoring),
    )


def _risk(total: int, has_single_3: bool) -> str:  # noqa: FBT001 # a pair that is counted together
    """RCP 2017, chart 2: thresholds and triggers."""
    if total >= 7:
        return "high"
    if total >= 5:
        return "medium"
    return "low-medium" if has_single_3 else "low"


def _monitoring(total: int, has_single_3: bool) -> str:  # noqa: FBT001 # as above
    """RCP 2017, chart 4: least frequency of monitoring."""
    if total == 0:
        return "minimum 12-hourly"
    risk = _risk(total, has_single_3)
    return {"high": "continuous", "low": "minimum 4-6-hourly"}.get(risk, "minimum 1-hourly")


SCORE = Score(
    name="NEWS2",
    title_en="National Early Warning Score 2",
    title_zh="英国国家早期预警评分第二版",
    source=(
        "Royal College of Physicians. National Early Warning Score (NEWS) 2: Standardising the assessment of "
        "acute-illness severity in the NHS. London: RCP, 2017"
    ),
    limits="Not for people under 16 years or in pregnancy. SpO2 scale 2 only on a clinician's decision.",
    inputs=_FORM.inputs,
    compute=compute_news2,
)
