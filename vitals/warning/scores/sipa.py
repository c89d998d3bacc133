"""SIPA, the shock index of children, whose limit falls with age."""

from collections.abc import Mapping
from decimal import Decimal

from vitals.warning.bands import chart_bands
from vitals.warning.points import decide
from vitals.warning.pulse_pressure_ratio import RATIO_PULSE, RATIO_SBP, divide_pulse
from vitals.warning.score import Score
from vitals.warning.score_input import WHOLE, InputForm, NumberInput
from vitals.warning.score_result import ScoreResult

_AGE = NumberInput(name="age_years", unit="a", low=4, high=16, resolution=WHOLE, completed=True)
_FORM = InputForm(inputs=(_AGE, RATIO_PULSE, RATIO_SBP))
_LIMITS = (Decimal("1.22"), Decimal("1.0"), Decimal("0.9"))
_LIMIT_BANDS = chart_bands(_AGE, ("6", 0), ("12", 1), (None, 2))


def _compute(inputs: Mapping[str, object]) -> ScoreResult:
    given = _FORM.read(inputs)
    ratio = divide_pulse(given)
    age = given[_AGE.name]
    limits = [_LIMITS[_LIMIT_BANDS.find_points(age)]] if isinstance(age, int | float) else _LIMITS
    raised = decide("raised", lowest=ratio.lowest > max(limits), highest=ratio.highest > min(limits))
    return ScoreResult(
        parts=(),
        missing=tuple(name for name, value in given.items() if value is None),
        total=float(ratio.lowest) if ratio.is_known else None,
        total_min=float(ratio.lowest),
        total_max=float(ratio.highest),
        outcomes=(ratio.tell_value(), raised),
        total_name=None,
    )


SCORE = Score(
    name="SIPA",
    title_en="Shock index, paediatric age-adjusted",
    title_zh="儿童年龄校正休克指数",
    source="Acker SN et al. J Pediatr Surg 2015;50:331-334",
    limits="4 to 16 completed years, after injury. Limits are general knowledge: confirm before use.",
    inputs=_FORM.inputs,
    compute=_compute,
)
