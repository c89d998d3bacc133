from vitals.warning.parts import AnyPart, band, finding
from vitals.warning.points import PointsTable, group_total, list_found, reach_total
from vitals.warning.score_input import FlagInput, InputForm
from vitals.warning.vital_inputs import DBP, PULSE, SBP

SIGN = FlagInput(name="sign")
TICKED = FlagInput(name="ticked", optional=True)
TABLE = PointsTable(
    form=InputForm(inputs=(SBP, DBP, PULSE, SIGN, TICKED)),
    parts=(
        AnyPart(name="bp", criteria=(band(SBP, ("89", 1), (None, 0)), band(DBP, ("60", 1), (None, 0)))),
        band(PULSE, ("100", 0), (None, 2)),
        finding(SIGN),
        finding(TICKED),
    ),
    conclusions=(
        group_total("group", (1, "low"), (3, "middle"), (None, "high")),
        reach_total("met", 2),
        list_found("criteria"),
    ),
)
WELL = {"sbp": 120, "dbp": 70, "pulse": 80, "sign": False}


def test_complete_score_has_a_total_and_no_bounds_in_its_answer() -> None:
    answer = TABLE.compute(WELL | {"pulse": 101}).build_answer()
    assert (answer["complete"], answer["total"], answer["group"], answer["met"]) == (True, 2, "middle", True)
    assert answer["sub"] == {"bp": 0, "pulse": 2, "sign": 0, "ticked": 0}
    assert "total_min" not in answer
    assert answer["criteria"] == ["pulse"]


def test_incomplete_score_has_bounds_and_leaves_open_what_they_leave_open() -> None:
    answer = TABLE.compute(WELL | {"pulse": None}).build_answer()
    assert (answer["total"], answer["total_min"], answer["total_max"]) == (None, 0, 2)
    assert (answer["group"], answer["group_min"], answer["group_max"]) == (None, "low", "middle")
    assert (answer["met"], answer["missing"]) == (None, ["pulse"])


def test_decision_and_group_are_told_as_soon_as_the_bounds_agree() -> None:
    answer = TABLE.compute({"sbp": 80, "pulse": 120, "sign": None}).build_answer()
    assert (answer["total"], answer["met"], answer["group"]) == (None, True, None)
    assert answer["criteria"] == ["bp", "pulse"]
    assert answer["missing"] == ["sign"]
    sure = TABLE.compute({"sbp": 80, "pulse": 120, "sign": None, "ticked": True}).build_answer()
    assert (sure["total"], sure["group"]) == (None, "high")


def test_input_that_can_change_nothing_any_more_is_not_missing() -> None:
    assert TABLE.compute(WELL | {"sbp": 80, "dbp": None}).missing == ()
    assert TABLE.compute(WELL | {"dbp": None}).missing == ("dbp",)


def test_optional_input_that_was_left_out_is_assumed_and_told() -> None:
    assert TABLE.compute(WELL).assumed == ("ticked",)
    assert TABLE.compute(WELL).build_answer()["assumed"] == ["ticked"]
    answer = TABLE.compute(WELL | {"ticked": None}).build_answer()
    assert (answer["missing"], answer["total"]) == (["ticked"], None)
    assert "assumed" not in answer


def test_table_without_a_name_for_its_total_has_none() -> None:
    table = PointsTable(form=TABLE.form, parts=TABLE.parts, total_name=None)
    result = table.compute(WELL)
    assert (result.is_complete, result.total, result.total_min, result.total_max) == (True, None, None, None)
    assert "total" not in result.build_answer()


def test_table_of_stated_items_shows_only_the_parts_that_are_known() -> None:
    table = PointsTable(form=TABLE.form, parts=TABLE.parts, shows_open_parts=False)
    answer = table.compute({"pulse": 80}).build_answer()
    assert answer["sub"] == {"pulse": 0, "ticked": 0}
    assert answer["missing"] == ["sbp", "dbp", "sign"]
