import math

import pytest

from vitals.observation import Flag
from vitals.warning.rule import Input, InputType
from vitals.warning.sample import QUALITY_BY_WORD, Refusal, Sample, find_refusal

SPO2 = Input(keys=("spo2",), low=50, high=100, quality_min=0.5)
STEPS = Input(keys=("steps",), low=0, high=100_000)
AGE = Input(keys=("patient.age",))
WORD = Input(keys=("acvpu",), type=InputType.WORD)
TRUTH = Input(keys=("patient.pregnant",), type=InputType.TRUTH)


def refuse(value, declared=SPO2, *, quality=None, flags=()):
    return find_refusal(Sample(declared.keys[0], "a", 0, value, quality, flags), declared)


@pytest.mark.parametrize(
    ("value", "declared", "refusal"),
    [
        (95.0, SPO2, None), (95, SPO2, None), (50, SPO2, None), (100, SPO2, None),
        (49.9, SPO2, Refusal.OUT_OF_RANGE), (100.1, SPO2, Refusal.OUT_OF_RANGE),
        (0, SPO2, Refusal.ZERO), (0.0, SPO2, Refusal.ZERO), (-0.0, SPO2, Refusal.ZERO), (0, STEPS, None),
        (None, SPO2, Refusal.NO_VALUE), (math.nan, SPO2, Refusal.OUT_OF_RANGE),
        (math.inf, SPO2, Refusal.OUT_OF_RANGE), (-math.inf, SPO2, Refusal.OUT_OF_RANGE),
        (True, SPO2, Refusal.WRONG_TYPE), ("95", SPO2, Refusal.WRONG_TYPE), (True, STEPS, Refusal.WRONG_TYPE),
        (70, AGE, None), (math.nan, AGE, Refusal.OUT_OF_RANGE), (math.inf, AGE, Refusal.OUT_OF_RANGE),
        (-math.inf, AGE, Refusal.OUT_OF_RANGE), (10**400, AGE, Refusal.OUT_OF_RANGE),
        (-(10**400), AGE, Refusal.OUT_OF_RANGE),
        ("A", WORD, None), (1, WORD, Refusal.WRONG_TYPE), (False, WORD, Refusal.WRONG_TYPE),
        (False, TRUTH, None), (True, TRUTH, None), (1, TRUTH, Refusal.WRONG_TYPE),
        ("true", TRUTH, Refusal.WRONG_TYPE),
    ],
)  # fmt: skip
def test_gate_lets_values_of_the_person_pass(value, declared, refusal):
    assert refuse(value, declared) is refusal


@pytest.mark.parametrize(
    ("quality", "refusal"),
    [
        (None, None), (1.0, None), (0.5, None), (0.49, Refusal.LOW_QUALITY), (0.0, Refusal.LOW_QUALITY),
        (math.nan, Refusal.LOW_QUALITY),
    ],
)  # fmt: skip
def test_poor_quality_is_refused(quality, refusal):
    assert refuse(95.0, quality=quality) is refusal


def test_quality_counts_only_where_a_rule_asks_for_it():
    assert refuse(5, STEPS, quality=0.0) is None
    assert QUALITY_BY_WORD == {"good": 1.0, "questionable": 0.5, "invalid": 0.0}


@pytest.mark.parametrize(
    ("flag", "refusal"),
    [
        (Flag.DEMONSTRATION, Refusal.DEMONSTRATION), (Flag.TESTING, Refusal.DEMONSTRATION),
        (Flag.NO_CONTACT, Refusal.NO_CONTACT), (Flag.CUFF_LOOSE, Refusal.NO_CONTACT),
        (Flag.UNKNOWN_USER, Refusal.OTHER_PERSON), (Flag.SEARCHING, Refusal.UNFINISHED),
        (Flag.INTERMEDIATE, Refusal.UNFINISHED), (Flag.FAILED, Refusal.NO_VALUE),
        (Flag.SENSOR_FAULT, Refusal.NO_VALUE), (Flag.IMPLAUSIBLE, Refusal.OUT_OF_RANGE),
        (Flag.STORED, None), (Flag.LOW_PERFUSION, None), ("something new", None),
    ],
)  # fmt: skip
def test_flags_about_the_sensor_refuse_what_looks_like_a_value(flag, refusal):
    assert refuse(95.0, flags=("something else", flag)) is refusal
