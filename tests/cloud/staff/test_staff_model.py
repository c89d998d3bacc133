from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from cloud.identity.model import Role
from cloud.staff.model import (
    KINDS_BY_ACCOUNT_ROLE,
    LICENCES_BY_KIND,
    Licence,
    LicenceKind,
    PractitionerKind,
    PractitionerRole,
    Qualification,
    Shift,
    SigningRefusal,
    StaffInvalid,
    check_login_name,
    decide_signing,
    mask_number,
    turns_of,
)

AT = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = date(2026, 11, 23)
NIGHT = Shift(weekday=6, begins=time(20), ends=time(8))


def role(kind=PractitionerKind.PHYSICIAN, *, begins=AT - timedelta(days=9), ends=None):
    return PractitionerRole(role_id=1, organisation_id="own", kind=kind, begins_at=begins, ends_at=ends)


def licence(kind=LicenceKind.PHYSICIAN, *, first=date(2026, 1, 1), until=date(2027, 1, 1), revoked=None):
    valid = Licence(kind=kind, issuer="x", valid_from=first, valid_until=until)
    return Qualification(qualification_id=7, licence=valid, sealed_number=b"", revoked_at=revoked)


EXPIRED = licence(until=date(2026, 11, 25))
REVOKED = licence(revoked=AT)


@pytest.mark.parametrize(
    ("roles", "licences", "refusal"),
    [
        ([], [licence()], SigningRefusal.NO_ROLE),
        ([role(ends=AT)], [licence()], SigningRefusal.ROLE_ENDED),
        ([role(begins=AT + timedelta(1))], [licence()], SigningRefusal.ROLE_NOT_BEGUN),
        ([role(PractitionerKind.AUDITOR)], [licence()], SigningRefusal.ROLE_SIGNS_NOTHING),
        ([role()], [], SigningRefusal.NO_LICENCE),
        ([role()], [licence(LicenceKind.NURSE)], SigningRefusal.NO_LICENCE),
        ([role()], [EXPIRED], SigningRefusal.LICENCE_EXPIRED),
        ([role()], [licence(first=date(2026, 11, 26))], SigningRefusal.LICENCE_NOT_YET_VALID),
        ([role()], [REVOKED], SigningRefusal.LICENCE_REVOKED),
        ([role()], [REVOKED, EXPIRED], SigningRefusal.LICENCE_EXPIRED),
    ],
)
def test_who_cannot_sign_is_told_why(roles, licences, refusal):
    decided = decide_signing(roles, licences, at=AT)

    assert (decided.is_allowed, decided.refusal) == (False, refusal)


def test_one_role_with_a_holding_licence_is_enough():
    roles = [role(PractitionerKind.AUDITOR), role()]
    decided = decide_signing(roles, [REVOKED, EXPIRED, licence()], at=AT)

    assert (decided.is_allowed, decided.role, decided.qualification_id) == (True, roles[1], 7)


def test_what_was_signed_before_the_revocation_stays_signed():
    assert decide_signing([role()], [REVOKED], at=AT - timedelta(microseconds=1)).is_allowed


def test_licence_ends_at_midnight_of_the_organisations_clock():
    ending = licence(until=date(2026, 11, 26))
    midnight = datetime(2026, 11, 26, tzinfo=SHANGHAI)

    assert decide_signing([role()], [ending], at=midnight - timedelta(seconds=1)).is_allowed
    assert decide_signing([role()], [ending], at=midnight).refusal is SigningRefusal.LICENCE_EXPIRED


def test_every_kind_says_which_licence_it_needs_and_no_office_signs():
    assert set(LICENCES_BY_KIND) == set(PractitionerKind)
    silent = {kind for kind, needed in LICENCES_BY_KIND.items() if not needed}
    assert silent == {PractitionerKind.ADMINISTRATOR, PractitionerKind.AUDITOR}


def test_no_account_of_a_resident_client_or_the_system_is_given_out():
    assert set(KINDS_BY_ACCOUNT_ROLE) == {Role.CLINICIAN, Role.NURSE, Role.ADMINISTRATOR, Role.AUDITOR}


def test_night_shift_ends_on_the_next_day_beyond_the_last():
    (turn,) = turns_of([NIGHT], first=MONDAY, last=MONDAY + timedelta(6), zone=SHANGHAI)

    assert turn.begins_at == datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    assert turn.ends_at == datetime(2026, 11, 30, 0, 0, tzinfo=UTC)


def test_sunday_night_that_runs_into_monday_morning_is_refused():
    early = Shift(weekday=0, begins=time(7), ends=time(12))

    assert len(turns_of([NIGHT, early], first=MONDAY, last=MONDAY + timedelta(6), zone=SHANGHAI)) == 2
    with pytest.raises(StaffInvalid, match="overlap on 2026-11-30"):
        turns_of([NIGHT, early], first=MONDAY, last=MONDAY + timedelta(7), zone=SHANGHAI)


def test_clock_that_jumps_makes_a_night_shorter():
    berlin = ZoneInfo("Europe/Berlin")
    saturday = Shift(weekday=5, begins=time(20), ends=time(8))
    (turn,) = turns_of([saturday], first=date(2026, 3, 28), last=date(2026, 3, 28), zone=berlin)

    assert turn.ends_at - turn.begins_at == timedelta(hours=11)


@pytest.mark.parametrize("last", [MONDAY - timedelta(1), MONDAY + timedelta(366)])
def test_days_that_cannot_be_are_refused(last):
    with pytest.raises(StaffInvalid, match="last"):
        turns_of([NIGHT], first=MONDAY, last=last, zone=SHANGHAI)


minutes = st.integers(0, 24 * 60 - 1).map(lambda number: time(number // 60, number % 60))
shifts = st.lists(
    st.builds(Shift, weekday=st.integers(0, 6), begins=minutes, ends=minutes), min_size=1, max_size=3
)
days = st.dates(date(2020, 1, 1), date(2035, 12, 31))


def turns_or_overlap(shifts, *, first, last):
    """The turns; a week that overlaps itself is refused, as a plain count of its minutes tells too."""
    if is_double_booked(shifts, first=first, last=last):
        with pytest.raises(StaffInvalid, match="overlap"):
            turns_of(shifts, first=first, last=last, zone=SHANGHAI)
        reject()
    return turns_of(shifts, first=first, last=last, zone=SHANGHAI)


def is_double_booked(shifts, *, first, last):
    """Whether a minute of the range belongs to two turns, counted in another way than the code does."""
    booked = set()
    for offset in range((last - first).days + 1):
        for shift in shifts:
            if shift.weekday == (first + timedelta(days=offset)).weekday():
                begin = offset * 1440 + shift.begins.hour * 60 + shift.begins.minute
                length = (shift.ends.hour - shift.begins.hour) * 60 + shift.ends.minute - shift.begins.minute
                minutes = set(range(begin, begin + (length if length > 0 else length + 1440)))
                if minutes & booked:
                    return True
                booked |= minutes
    return False


@given(shifts=shifts, first=days, length=st.integers(0, 14))
def test_turns_are_the_shifts_of_their_days_and_never_overlap(shifts, first, length):
    last = first + timedelta(days=length)
    turns = turns_or_overlap(shifts, first=first, last=last)
    begins = [turn.begins_at.astimezone(SHANGHAI) for turn in turns]
    expected = sum(
        1 for offset in range(length + 1) for shift in shifts
        if shift.weekday == (first + timedelta(days=offset)).weekday()
    )  # fmt: skip
    assert len(turns) == expected
    assert all(first <= at.date() <= last for at in begins)
    assert all(timedelta(0) < turn.ends_at - turn.begins_at <= timedelta(days=1) for turn in turns)


@given(shifts=shifts, first=days, length=st.integers(0, 20), cut=st.integers(0, 20))
def test_two_ranges_one_after_the_other_give_what_one_gives(shifts, first, length, cut):
    assume(cut < length)
    last, border = first + timedelta(days=length), first + timedelta(days=cut)
    whole = turns_or_overlap(shifts, first=first, last=last)
    parts = turns_of(shifts, first=first, last=border, zone=SHANGHAI)
    parts += turns_of(shifts, first=border + timedelta(days=1), last=last, zone=SHANGHAI)

    assert parts == whole


@pytest.mark.parametrize("name", ["ab", "-abc", "a b c", "李小龙", "x" * 41, "abc\x00"])
def test_login_name_that_cannot_be_is_refused(name):
    with pytest.raises(StaffInvalid, match="name"):
        check_login_name(name)


def test_login_name_is_stored_in_small_letters():
    assert check_login_name(" Li.Si-2 ") == "li.si-2"


@pytest.mark.parametrize(
    ("number", "shown"), [("110330102000001", "***********0001"), ("12345678", "********")]
)
def test_licence_number_is_masked(number, shown):
    assert mask_number(number) == shown
