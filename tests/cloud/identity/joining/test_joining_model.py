from datetime import date

import pytest

from cloud.identity.joining.model import Applicant, knows_patient

BORN = date(1956, 3, 4)


@pytest.mark.parametrize("known", ["1956-03-04", "19560304", " 1956年03月04日 ", "1956/03/04", "021x"])
def test_birth_date_or_end_of_a_number_shows_who_knows_the_patient(known):
    assert knows_patient(known, births=[BORN], numbers=["33010219560304021X"])


@pytest.mark.parametrize("known", ["", "1956", "0304", "1956-04-03", "33010219560304021X", "21X", "  "])
def test_anything_else_does_not(known):
    assert not knows_patient(known, births=[BORN], numbers=["33010219560304021X"])


def test_short_number_is_no_secret():
    assert not knows_patient("4711", births=[], numbers=["R-4711"])


@pytest.mark.parametrize("known", ["", "1956-03-04", "0000"])
def test_nobody_knows_a_patient_of_whom_nothing_is_on_file(known):
    assert not knows_patient(known, births=[], numbers=[])


def test_applicant_prints_no_secret():
    wish = Applicant(code="SECRET-1", known="SECRET-2", name="li", display="Li", password="SECRET-3")
    assert "SECRET" not in repr(wish)
