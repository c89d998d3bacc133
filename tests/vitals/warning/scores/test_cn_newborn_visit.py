from vitals.warning.scores.cn_newborn_visit import SCORE

WELL: dict[str, object] = {"temp": 36.8, "rr": 40, "pulse": 130}


def refer(**changes: object) -> object:
    return SCORE.compute(WELL | changes).find_outcome("refer_now").value


def test_limits_of_temperature_include_themselves_and_the_others_do_not() -> None:
    assert [refer(temp=temp) for temp in (35.5, 35.54, 35.55, 37.44, 37.45)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert [refer(rr=rr) for rr in (19, 20, 60, 61)] == [True, False, False, True]
    assert [refer(pulse=pulse) for pulse in (99, 100, 160, 161)] == [True, False, False, True]


def test_sign_that_is_not_measured_refers_by_itself() -> None:
    answer = SCORE.compute({"danger_sign": True}).build_answer()
    assert (answer["refer_now"], answer["criteria"]) == (True, ["danger_sign"])


def test_missing_measurement_or_unknown_sign_leaves_it_open() -> None:
    assert [refer(temp=None), refer(rr=None), refer(pulse=None), refer(danger_sign=None)] == [None] * 4
