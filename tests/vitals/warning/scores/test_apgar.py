from vitals.warning.scores.apgar import SCORE

OTHERS: dict[str, object] = {"appearance": 2, "grimace": 2, "activity": 2, "respiration": 2}


def test_counted_heart_rate_stands_for_the_item_of_pulse() -> None:
    rates = (0, 0.49, 0.5, 99.49, 99.5, 160)
    assert [SCORE.compute(OTHERS | {"heart_rate_bpm": rate}).total for rate in rates] == [8, 8, 9, 9, 10, 10]


def test_rate_alone_answers_its_item_and_names_the_others_as_missing() -> None:
    answer = SCORE.compute({"heart_rate_bpm": 99}).build_answer()
    assert (answer["sub"], answer["total"], answer["total_min"], answer["total_max"]) == (
        {"pulse": 1}, None, 1, 9,
    )  # fmt: skip
    assert answer["missing"] == list(OTHERS)
