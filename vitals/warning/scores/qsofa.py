"""qSOFA, the quick sequential organ failure assessment."""

from vitals.warning.parts import StatedPart, band, finding
from vitals.warning.points import PointsTable, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import FlagInput, InputForm
from vitals.warning.vital_inputs import GCS, RR, SBP

_ALTERED = FlagInput(name="altered_mentation")
_TABLE = PointsTable(
    form=InputForm(inputs=(RR, SBP, GCS, _ALTERED)),
    parts=(
        band(RR, ("21", 0), (None, 1)),
        band(SBP, ("100", 1), (None, 0)),
        # One fact in two words: GCS below 15 is altered mentation.
        StatedPart(name="mentation", ways=(band(GCS, ("14", 1), (None, 0)), finding(_ALTERED))),
    ),
    conclusions=(reach_total("positive", 2),),
)

SCORE = Score(
    name="qSOFA",
    title_en="Quick SOFA",
    title_zh="快速序贯器官衰竭评分",
    source="Singer M et al. Sepsis-3. JAMA 2016;315:801-810",
    limits="Adults with suspected infection. Negative does not rule out sepsis. GCS < 15 counts as altered.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
