"""RTS, the Revised Trauma Score: T-RTS by adding the coded values for triage, RTS by weighting them."""

from decimal import Decimal

from vitals.warning.parts import band
from vitals.warning.points import PointsTable
from vitals.warning.score import Score
from vitals.warning.score_input import InputForm
from vitals.warning.score_result import Outcome, ScorePart
from vitals.warning.vital_inputs import GCS, RR, SBP

_WEIGHTS = {"gcs": Decimal("0.9368"), "sbp": Decimal("0.7326"), "rr": Decimal("0.2908")}


def _weigh(parts: tuple[ScorePart, ...]) -> Outcome:
    lowest = float(sum(_WEIGHTS[part.input] * part.points_min for part in parts))
    highest = float(sum(_WEIGHTS[part.input] * part.points_max for part in parts))
    return Outcome(name="rts", value=lowest if lowest == highest else None, lowest=lowest, highest=highest)


_TABLE = PointsTable(
    form=InputForm(inputs=(GCS, SBP, RR)),
    parts=(
        band(GCS, ("3", 0), ("5", 1), ("8", 2), ("12", 3), (None, 4)),
        band(SBP, ("0", 0), ("49", 1), ("75", 2), ("89", 3), (None, 4)),
        band(RR, ("0", 0), ("5", 1), ("9", 2), ("29", 4), (None, 3)),
    ),
    conclusions=(_weigh,),
    total_name="t_rts",
)

SCORE = Score(
    name="RTS",
    title_en="Revised Trauma Score",
    title_zh="修正创伤评分",
    source="Champion HR et al. J Trauma 1989;29:623-629",
    limits="After injury; lower is worse. In intoxicated or intubated people the coma scale misleads.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
