"""CURB-65 and CRB-65, the severity of community-acquired pneumonia."""

from vitals.warning.parts import AnyPart, band, finding
from vitals.warning.points import PointsTable, group_total
from vitals.warning.score import Score
from vitals.warning.score_input import TENTH, FlagInput, InputForm, NumberInput
from vitals.warning.score_result import Outcome, ScorePart, sum_points
from vitals.warning.vital_inputs import AGE, DBP, RR, SBP

_CONFUSION = FlagInput(name="confusion")
_UREA = NumberInput(name="urea_mmol_l", unit="mmol/L", low=0, high=200, resolution=TENTH)


def _leave_out_urea(parts: tuple[ScorePart, ...]) -> Outcome:
    """CRB-65: the same without a laboratory."""
    lowest, highest = sum_points(part for part in parts if part.input != "urea")
    return Outcome(name="crb65", value=lowest if lowest == highest else None, lowest=lowest, highest=highest)


_TABLE = PointsTable(
    form=InputForm(inputs=(_CONFUSION, _UREA, RR, SBP, DBP, AGE)),
    parts=(
        finding(_CONFUSION),
        band(_UREA, ("7.0", 0), (None, 1), name="urea"),
        band(RR, ("29", 0), (None, 1)),
        AnyPart(name="bp", criteria=(band(SBP, ("89", 1), (None, 0)), band(DBP, ("60", 1), (None, 0)))),
        band(AGE, ("64", 0), (None, 1)),
    ),
    conclusions=(group_total("group", (1, "low"), (2, "moderate"), (None, "severe")), _leave_out_urea),
)

SCORE = Score(
    name="CURB-65",
    title_en="CURB-65 and CRB-65 for community-acquired pneumonia",
    title_zh="社区获得性肺炎 CURB-65 评分",
    source="Lim WS et al. Thorax 2003;58:377-382",
    limits="Adults with pneumonia from the community. Urea of 7.0 mmol/L scores 0.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
