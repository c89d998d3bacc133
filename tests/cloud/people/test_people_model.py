import pytest

from cloud.people.model import IdentifierKey, Person, Sex, clean_name, match_name, may_merge_by_rule
from tests.cloud.people.conftest import BORN
from vitals.identifiers.identifier import IdentifierKind

CARD = IdentifierKey(kind=IdentifierKind.HEALTH_CARD, issuer="", digest=b"d" * 32)
TEMPORARY = IdentifierKey(kind=IdentifierKind.TEMPORARY, issuer="HUT", digest=b"t" * 32)
ONE_ID = frozenset([b"r" * 32])


def person(name="张三", born=BORN, sex=Sex.UNKNOWN):
    return Person(
        patient_id="p", organisation_id="o", site_id="s", bed="", name_zh=name, name_en="",
        match_name=match_name(name, ""), birth_date=born, sex=sex,
    )  # fmt: skip


@pytest.mark.parametrize("sex", list(Sex))
def test_same_name_and_birth_date_with_a_common_number_is_one_person(sex):
    assert may_merge_by_rule(person("张 三"), person(sex=sex), shared=[CARD], resident_ids=ONE_ID)


@pytest.mark.parametrize(
    ("other", "shared", "resident_ids"),
    [
        (person(name="李四"), [CARD], ONE_ID),
        (person(born=BORN.replace(day=2)), [CARD], ONE_ID),
        (person(born=None), [CARD], ONE_ID),
        (person(sex=Sex.FEMALE), [CARD], ONE_ID),
        (person(), [CARD], frozenset([b"r" * 32, b"s" * 32])),
        (person(), [TEMPORARY], ONE_ID),
        (person(), [], ONE_ID),
    ],
    ids=["name", "birth date", "no birth date", "sex", "two resident numbers", "temporary", "nothing common"],
)
def test_whatever_differs_needs_somebody_to_look(other, shared, resident_ids):
    assert not may_merge_by_rule(person(sex=Sex.MALE), other, shared=shared, resident_ids=resident_ids)


def test_two_without_a_birth_date_are_not_one():
    assert not may_merge_by_rule(person(born=None), person(born=None), shared=[CARD], resident_ids=ONE_ID)


@pytest.mark.parametrize(
    ("typed", "clean"), [("  Zhang   San ", "Zhang San"), ("Ｚｈａｎｇ", "Zhang"), ("张\u3000三", "张 三")]
)
def test_name_has_one_spelling(typed, clean):
    assert clean_name(typed) == clean
