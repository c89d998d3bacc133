import itertools

import pytest

from cloud.places.model import (
    Level,
    LocationKind,
    PlaceInvalid,
    check_division,
    check_zone,
    division_contains,
    may_lie_in,
)


def test_nothing_lies_in_itself_even_by_steps():
    for one, two in itertools.product(LocationKind, LocationKind):
        assert not (may_lie_in(one, two) and may_lie_in(two, one))


def test_a_level_is_above_exactly_those_before_it():
    for (idx, one), (other_idx, two) in itertools.product(enumerate(Level), enumerate(Level)):
        assert one.is_above(two) is (idx > other_idx)


@pytest.mark.parametrize("code", ["330000", "330100", "330102", "429004", "330102001", "330102001003"])
def test_division_of_the_standard_is_kept(code):
    assert check_division(code) == code


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("33010", "digits"),
        ("3301020011", "digits"),
        ("३३०१०२", "digits"),
        ("990102", "province"),
        ("830000", "province"),
        ("330002", "city"),
        ("330100001", "county"),
        ("330102000001", "township"),
    ],
)
def test_division_that_cannot_be_says_why(code, why):
    with pytest.raises(PlaceInvalid, match=why):
        check_division(code)


@pytest.mark.parametrize(
    ("outer", "inner", "is_in"),
    [
        ("330000", "330102", True),
        ("330100", "330102001", True),
        ("330102", "330102001003", True),
        ("330102001", "330102001003", True),
        ("330102", "330102", True),
        ("330102", "330103", False),
        ("330102", "330100", False),
        ("330200", "330102", False),
        ("330102001", "330102002003", False),
    ],
)
def test_division_contains_what_begins_like_it(outer, inner, is_in):
    assert division_contains(outer, inner) is is_in


@pytest.mark.parametrize("zone", ["Nowhere/Here", "", "../etc/passwd", "a\x00b"])
def test_zone_that_does_not_exist_is_refused(zone):
    with pytest.raises(PlaceInvalid, match="IANA"):
        check_zone(zone)
