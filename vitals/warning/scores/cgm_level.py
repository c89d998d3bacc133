"""The level of one glucose value of a continuous monitor, as the consensus counts time in range."""

from collections.abc import Mapping

from vitals.warning.bands import chart_bands
from vitals.warning.score import Score
from vitals.warning.score_input import TENTH, InputForm, NumberInput
from vitals.warning.score_result import Outcome, ScoreResult

_GLUCOSE = NumberInput(name="glucose_mmol_l", unit="mmol/L", low=0, high=60, resolution=TENTH)
_FORM = InputForm(inputs=(_GLUCOSE,))
_LEVELS = ("low2", "low1", "in_range", "high1", "high2")
_BANDS = chart_bands(_GLUCOSE, ("2.9", 0), ("3.8", 1), ("10.0", 2), ("13.9", 3), (None, 4))


def _compute(inputs: Mapping[str, object]) -> ScoreResult:
    glucose = _FORM.read(inputs)[_GLUCOSE.name]
    level = _LEVELS[_BANDS.find_points(glucose)] if isinstance(glucose, int | float) else None
    outcome = Outcome(name="level", value=level, lowest=level or _LEVELS[0], highest=level or _LEVELS[-1])
    return ScoreResult(
        parts=(),
        missing=() if level else (_GLUCOSE.name,),
        total=None,
        total_min=None,
        total_max=None,
        outcomes=(outcome,),
        total_name=None,
    )


SCORE = Score(
    name="CGM_LEVEL",
    title_en="Level of continuously monitored glucose",
    title_zh="动态血糖分级",
    source="Battelino T et al. International consensus on time in range. Diabetes Care 2019;42:1593-1603",
    limits=(
        "Not for pregnancy. A value, not an episode. 3.9 mmol/L is in range here, but calls for referral in "
        "the Chinese follow-up norm."
    ),
    inputs=_FORM.inputs,
    compute=_compute,
)
