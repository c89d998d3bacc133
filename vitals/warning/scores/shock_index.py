"""The shock index: pulse over systolic pressure, judged before it is rounded for show."""

from collections.abc import Mapping
from decimal import Decimal

from vitals.warning.points import decide
from vitals.warning.pulse_pressure_ratio import RATIO_PULSE, RATIO_SBP, divide_pulse
from vitals.warning.score import Score
from vitals.warning.score_input import InputForm
from vitals.warning.score_result import ScoreResult

_FORM = InputForm(inputs=(RATIO_PULSE, RATIO_SBP))
_LIMITS = (("ge_0_9", Decimal("0.9")), ("ge_1_0", Decimal("1.0")))


def _compute(inputs: Mapping[str, object]) -> ScoreResult:
    given = _FORM.read(inputs)
    ratio = divide_pulse(given)
    decisions = tuple(
        decide(name, lowest=ratio.lowest >= limit, highest=ratio.highest >= limit) for name, limit in _LIMITS
    )
    return ScoreResult(
        parts=(),
        missing=tuple(name for name, value in given.items() if value is None),
        total=float(ratio.lowest) if ratio.is_known else None,
        total_min=float(ratio.lowest),
        total_max=float(ratio.highest),
        outcomes=(ratio.tell_value(), *decisions),
        total_name=None,
    )


SCORE = Score(
    name="SHOCK_INDEX",
    title_en="Shock index",
    title_zh="休克指数",
    source="Allgoewer M, Burri C. Dtsch Med Wochenschr 1967;92:1947-1950",
    limits="Adults. Sources cut at 0.8, 0.9 or 1.0; it misleads with beta blockers, pacing and in pregnancy.",
    inputs=_FORM.inputs,
    compute=_compute,
)
