"""MEWT, the Maternal Early Warning Trigger: one severe or two non-severe values, for more than 20 minutes.

A pulse, a respiration or a saturation that is severe is non-severe too, so both lists name it, and a missing
one leaves both open: one value of it lies in both, another in neither, so bounds stay exact.
"""

from vitals.warning.parts import AnyPart, band, finding
from vitals.warning.points import PointsTable, decide
from vitals.warning.score import Score
from vitals.warning.score_input import TENTH, WHOLE, FlagInput, InputForm, NumberInput
from vitals.warning.score_result import Outcome, ScorePart, sum_points
from vitals.warning.vital_inputs import DBP, MAP, PULSE, RR, SBP, SPO2, TEMP

_FHR = NumberInput(name="fhr", unit="/min", low=0, high=400, resolution=WHOLE)
_MENTAL = FlagInput(name="altered_mental")
_PAIN = FlagInput(name="disproportionate_pain")
_CONCERN = FlagInput(name="nurse_concern")
_SUSTAINED = NumberInput(name="sustained_min", unit="min", low=0, high=525_600, resolution=TENTH)
_SEVERE = "severe_"
_NONSEVERE = "nonsevere_"
_DURATION = "sustained"


def _find_positive(parts: tuple[ScorePart, ...]) -> Outcome:
    """Judged on the least points, then on the greatest: more points never make it negative."""
    severe, nonsevere, duration = (
        sum_points(part for part in parts if part.input.startswith(kind))
        for kind in (_SEVERE, _NONSEVERE, _DURATION)
    )
    lowest, highest = (
        duration[bound] == 1 and (severe[bound] >= 1 or nonsevere[bound] >= 2) for bound in (0, 1)
    )
    return decide("positive", lowest=lowest, highest=highest)


def _list_severe(parts: tuple[ScorePart, ...]) -> Outcome:
    return _list_kind("severe", parts)


def _list_nonsevere(parts: tuple[ScorePart, ...]) -> Outcome:
    return _list_kind("nonsevere", parts)


def _list_kind(kind: str, parts: tuple[ScorePart, ...]) -> Outcome:
    prefix = f"{kind}_"
    found = tuple(
        part.input.removeprefix(prefix)
        for part in parts
        if part.input.startswith(prefix) and part.points_min > 0
    )
    return Outcome(name=kind, value=found, lowest=found, highest=found)


def _tell_reason(parts: tuple[ScorePart, ...]) -> Outcome:
    reason = "not sustained >20 min" if parts[-1].points == 0 else None
    return Outcome(name="reason", value=reason, lowest=reason, highest=reason)


_TABLE = PointsTable(
    form=InputForm(inputs=(PULSE, RR, MAP, SPO2, TEMP, SBP, DBP, _FHR, _MENTAL, _PAIN, _CONCERN, _SUSTAINED)),
    parts=(
        band(PULSE, ("130", 0), (None, 1), name="severe_pulse"),
        band(RR, ("30", 0), (None, 1), name="severe_rr"),
        band(MAP, ("54", 1), (None, 0), name="severe_map"),
        band(SPO2, ("89", 1), (None, 0), name="severe_spo2"),
        finding(_CONCERN, name="severe_nurse_concern"),
        band(TEMP, ("35.9", 1), ("38.0", 0), (None, 1), name="nonsevere_temp"),
        AnyPart(
            name="nonsevere_bp",
            criteria=(
                band(SBP, ("84", 1), ("160", 0), (None, 1)),
                band(DBP, ("44", 1), ("110", 0), (None, 1)),
            ),
        ),
        band(PULSE, ("49", 1), ("110", 0), (None, 1), name="nonsevere_pulse"),
        band(RR, ("9", 1), ("24", 0), (None, 1), name="nonsevere_rr"),
        band(SPO2, ("92", 1), (None, 0), name="nonsevere_spo2"),
        band(_FHR, ("160", 0), (None, 1), name="nonsevere_fhr"),
        finding(_MENTAL, name="nonsevere_mental"),
        finding(_PAIN, name="nonsevere_pain"),
        band(_SUSTAINED, ("20.0", 0), (None, 1), name=_DURATION),
    ),
    conclusions=(_find_positive, _list_severe, _list_nonsevere, _tell_reason),
    total_name=None,
)

SCORE = Score(
    name="MEWT",
    title_en="Maternal Early Warning Trigger",
    title_zh="产妇早期预警触发工具",
    source="Shields LE et al. Am J Obstet Gynecol 2016;214:527.e1-527.e6, abstract",
    limits="In pregnancy and after birth. It has its own delay: a rule must not add another.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
