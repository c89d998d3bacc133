import pytest

from vitals.observation import Flag
from vitals.warning.sample import Sample
from vitals.warning.series_csv import SeriesInvalid, read_persons, read_table

H = 3_600_000


def read(*lines, **arguments):
    return read_table([line + "\n" for line in lines], **arguments)


def seen(table):
    """(person, instant, vital sign, value) of every sample."""
    return [
        (person, sample.at_ms, sample.key, sample.value)
        for person, instants in table.instants_by_person.items()
        for instant in instants
        for sample in instant.samples
    ]


def test_wide_lines_are_samples_of_one_instant():
    table = read("pid,hour,HR,O2Sat,SBP,Age", "a,0,80,97,120,60", "a,1,81,,,60", "b,0,,95,,")

    assert seen(table) == [
        ("a", 0, "heart_rate", 80), ("a", 0, "spo2", 97), ("a", 0, "nibp_sys", 120),
        ("a", 0, "patient.age", 60),
        ("a", H, "heart_rate", 81), ("a", H, "patient.age", 60), ("b", 0, "spo2", 95),
    ]  # fmt: skip
    assert (table.unknown_columns, table.lines) == ((), 3)
    assert table.instants_by_person["a"][0].samples[0] == Sample("heart_rate", "csv", 0, 80.0)


def test_long_lines_are_one_value_each():
    table = read("record_id,minute,param,value", "1,5,HR,80", "1,5,SaO2,97", "1,6,Urine,200", "1,7,nisysabp,")

    assert seen(table) == [("1", 300_000, "heart_rate", 80), ("1", 300_000, "spo2", 97)]
    assert table.unknown_columns == ("Urine",)
    assert len(table.instants_by_person["1"]) == 4


def test_a_param_without_values_is_an_ordinary_column():
    assert read("pid,hour,param,hr", "a,0,HR,80").unknown_columns == ("param",)


@pytest.mark.parametrize(
    ("column", "cell", "at_ms"),
    [
        ("at_ms", "1500", 1500), ("t_ms", "7", 7), ("t_s", "1.5", 1500), ("second", "2", 2000),
        ("minute", "2", 120_000), ("hour", "-1.5", -5_400_000),
        ("time", "2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("time", "2026-01-01", 1_767_225_600_000),
        ("measured_at", "2026-01-01 08:00:00+08:00", 1_767_225_600_000),
        ("Hour ", " 1 ", H),
    ],
)  # fmt: skip
def test_every_way_to_write_a_time_is_read(column, cell, at_ms):
    table = read(f"pid,{column},hr", f"a,{cell},80")

    assert [instant.at_ms for instant in table.instants_by_person["a"]] == [at_ms]


@pytest.mark.parametrize(
    ("cell", "value"), [("0.21", 21), ("1", 100), ("1.1", 1.1), ("40", 40), ("0", 0), ("-50", -50)]
)
def test_oxygen_is_charted_as_a_fraction_or_in_per_cent(cell, value):
    assert seen(read("pid,hour,FiO2", f"a,0,{cell}")) == [("a", 0, "fio2", value)]


def test_words_and_truths_are_read_as_what_they_are():
    table = read("pid,hour,patient.oxygen,acvpu,pregnant", "a,0,air,V,1", "a,1,,,0")

    assert seen(table) == [
        ("a", 0, "patient.oxygen", "air"), ("a", 0, "acvpu", "V"), ("a", 0, "patient.pregnant", True),
        ("a", H, "patient.pregnant", False),
    ]  # fmt: skip


def test_quality_and_contact_speak_of_what_is_worn():
    lines = ("pid,hour,hr,sbp,sqi,contact", "a,0,80,120,0.7,0", "a,1,80,120,,1", "a,2,80,120,1,")
    worn, cuff, *rest = (
        sample for instant in read(*lines).instants_by_person["a"] for sample in instant.samples
    )

    assert (worn.quality, worn.flags) == (0.7, (Flag.NO_CONTACT,))
    assert (cuff.quality, cuff.flags) == (None, ())
    assert [(sample.quality, sample.flags) for sample in rest[::2]] == [(None, ()), (1.0, ())]


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN"])
def test_what_is_not_there_is_no_sample(cell):
    assert seen(read("pid,hour,hr,spo2", f"a,0,{cell},97")) == [("a", 0, "spo2", 97)]


def test_unsorted_and_repeated_instants_stay_in_the_order_of_the_file():
    table = read("pid,hour,hr", "a,2,80", "a,1,81", "a,2,82")

    assert [instant.at_ms for instant in table.instants_by_person["a"]] == [2 * H, H, 2 * H]


@pytest.mark.parametrize(
    ("cell", "outcome"), [("1", True), ("1.0", True), ("True", True), ("0", False), ("", False)]
)
def test_outcome_is_told_by_its_own_column(cell, outcome):
    (instant,) = read("pid,hour,Sepsis", f"a,0,{cell}", outcome="Sepsis").instants_by_person["a"]

    assert instant.outcome is outcome
    assert read("pid,hour,hr", "a,0,80").instants_by_person["a"][0].outcome is None
    assert read("pid,hour,Sepsis", "a,0,1").unknown_columns == ("Sepsis",)


def test_an_outcome_may_be_a_vital_sign_of_its_own_name():
    assert seen(read("pid,hour,hr", "a,0,1", outcome="hr")) == []


def test_empty_lines_are_nothing():
    assert read("pid,hour,hr", "", "a,0,80", "").lines == 1


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), "line 1: the file is empty"),
        (("pid,hr",),
         "line 1: has no column of time: one of at_ms, t_ms, t_s, second, minute, hour, time, measured_at"),
        (("hour,hr",),
         "line 1: has no column of the person: one of patient, person, pid, subject, record_id"),
        (("pid,hour,hr", "a,0"), "line 2: has 2 cells instead of 3"),
        (("pid,hour,hr", "a,0,1,2"), "line 2: has 4 cells instead of 3"),
        (("pid,hour,hr", "a,0,1", " ,0,1"), "line 3, column 'pid': names no person"),
        (("pid,hour,hr", "a,0,1", "", "a,x,1"), "line 4, column 'hour': 'x' is no time"),
        (("pid,hour,hr", "a,nan,1"), "line 2, column 'hour': 'nan' is no time"),
        (("pid,hour,hr", "a,inf,1"), "line 2, column 'hour': 'inf' is no time"),
        (("pid,time,hr", "a,monday,1"), "line 2, column 'time': 'monday' is no time"),
        (("pid,hour,HR", "a,0,high"), "line 2, column 'HR': 'high' is no number"),
        (("pid,hour,HR", "a,0,inf"), "line 2, column 'HR': 'inf' is no number"),
        (("pid,hour,HR", "a,0,1_0"), "line 2, column 'HR': '1_0' is no number"),
        (("pid,hour,hr,sqi", "a,0,80,good"), "line 2, column 'sqi': 'good' is no number"),
        (("pid,hour,param,value", "a,0,HR,x"), "line 2, column 'value': 'x' is no number"),
        (('pid,hour,hr', 'a,0,"' + "9" * 200_000 + '"'), "line 2: field larger than field limit (131072)"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_line_and_column(lines, reason):
    with pytest.raises(SeriesInvalid) as caught:
        read(*lines)

    assert str(caught.value) == reason


def test_an_outcome_that_is_no_column_is_told():
    with pytest.raises(SeriesInvalid, match="line 1: has no column 'Sepsis'"):
        read("pid,hour,hr", "a,0,80", outcome="Sepsis")


def test_a_meter_in_mmol_may_be_one_in_the_skin():
    table = read("pid,hour,glucose_mmol_l", "a,0,3.9")

    assert [(key, round(value, 2)) for _, _, key, value in seen(table)] == [
        ("glucose_cap_mmol", 3.9), ("glucose_isf", 70.27),
    ]  # fmt: skip


def test_recordings_of_one_person_are_records_of_their_own():
    table = read("pid,period,hour,hr", "a,0,0,80", "a,1,0,90")

    assert list(table.instants_by_person) == ["a/0", "a/1"]


def test_what_is_known_of_persons_is_read_by_its_type():
    known = read_persons(
        ["patient,age,patient.pregnant,oxygen\n", "a,70,1,air\n", "\n", "b,,true,\n", "c,1.5,0,oxygen\n"]
    )

    assert {person: [(one.key, one.value) for one in samples] for person, samples in known.items()} == {
        "a": [("patient.age", 70.0), ("patient.pregnant", True), ("patient.oxygen", "air")],
        "b": [("patient.pregnant", True)],
        "c": [("patient.age", 1.5), ("patient.pregnant", False), ("patient.oxygen", "oxygen")],
    }


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "line 1: has no column of the person: one of patient, person, pid, subject, record_id"),
        (["pid,height\n"], "line 1: knows no 'patient.height'; known: patient.age, "),
        (["pid,age\n", "a,old\n"], "line 2, column 'patient.age': 'old' is no number"),
    ],
)
def test_a_file_of_persons_says_what_is_wrong(lines, reason):
    with pytest.raises(SeriesInvalid) as caught:
        read_persons(lines)
    assert str(caught.value).startswith(reason)


def test_hi_and_lo_are_bounds():
    table = read("pid,hour,glucose_isf", "a,0,HI", "a,1,lo")
    samples = [sample for instant in table.instants_by_person["a"] for sample in instant.samples]
    assert [(sample.value, sample.flags) for sample in samples] == [
        (None, ("above_range",)), (None, ("below_range",)),
    ]  # fmt: skip


def test_the_long_form_says_the_same_as_the_wide_one():
    wide = read("pid,hour,spo2,glucose_mmol_l,sqi,contact", "a,0,70,HI,0.1,0")
    long = read("pid,hour,param,value,sqi,contact", "a,0,spo2,70,0.1,0", "a,0,glucose_mmol_l,HI,0.1,0")
    samples = [
        [sample for instant in table.instants_by_person["a"] for sample in instant.samples]
        for table in (wide, long)
    ]
    assert samples[0] == samples[1]
    assert (samples[0][0].quality, samples[0][0].flags) == (0.1, ("no_contact",))


def test_coded_truths_are_truths():
    assert seen(read("pid,hour,pulse_irregular,acvpu", "a,0,True,A"))[0][3] is True


@pytest.mark.parametrize("text", ["1.7e18", "-1.7e18"])
def test_a_time_beyond_the_calendar_is_refused(text):
    with pytest.raises(SeriesInvalid) as caught:
        read("pid,t_s,hr", f"a,{text},80")
    assert caught.value.reason == f"{text!r} lies beyond the year 9999"


@pytest.mark.parametrize("lines", [["age,pid\n", "70\n"], ["pid,age\n", "a,1_0\n"]])
def test_a_broken_line_of_persons_is_refused(lines):
    with pytest.raises(SeriesInvalid) as caught:
        read_persons(lines)
    assert caught.value.line == 2
