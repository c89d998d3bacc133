from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from cloud.identity.errors import LoginThrottled
from cloud.identity.lock_out import LIMITS, LockOut, source_of
from cloud.identity.model import Locked
from cloud.store.connection import connect

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
LOCK_OUT = LockOut(lambda text: text.encode())


def wait_after(database, attempts, *, name="doctor", kind=Locked.ACCOUNT, now=NOW):
    """Fail so often, waiting as told each time; then how long the next attempt must wait."""
    for _ in range(attempts):
        now += charge(database, name=name, kind=kind, now=now)
        LOCK_OUT.charge(database, kind, name=name, now=now)
    return charge(database, name=name, kind=kind, now=now)


def charge(database, *, name, kind, now):
    try:
        with database.transaction(force_rollback=True):
            LOCK_OUT.charge(database, kind, name=name, now=now)
    except LoginThrottled as error:
        return error.retry_after
    return timedelta()


@pytest.mark.parametrize(("attempts", "minutes"), [(4, 0), (5, 1), (6, 2), (7, 4), (8, 8), (9, 15), (12, 15)])
def test_wait_grows_with_each_failure_up_to_a_quarter_of_an_hour(database, attempts, minutes):
    assert wait_after(database, attempts) == timedelta(minutes=minutes)


def test_one_name_does_not_lock_another(database):
    wait_after(database, 6)

    assert charge(database, name="admin", kind=Locked.ACCOUNT, now=NOW) == timedelta()


def test_one_source_has_more_attempts_for_it_may_be_a_whole_hospital(database):
    assert wait_after(database, 49, name="10.0.0.7", kind=Locked.SOURCE) == timedelta()
    assert wait_after(database, 1, name="10.0.0.7", kind=Locked.SOURCE) == timedelta(seconds=30)


def test_attempt_while_locked_is_not_counted(database):
    wait_after(database, 5)
    for _ in range(20):
        charge(database, name="doctor", kind=Locked.ACCOUNT, now=NOW)

    assert charge(database, name="doctor", kind=Locked.ACCOUNT, now=NOW) == timedelta(minutes=1)


def test_forgiving_begins_anew_and_a_quiet_day_too(database):
    wait_after(database, 5)
    later = NOW + LIMITS[Locked.ACCOUNT].forgotten_after + timedelta(seconds=1)
    LOCK_OUT.charge(database, Locked.ACCOUNT, name="doctor", now=later)
    assert charge(database, name="doctor", kind=Locked.ACCOUNT, now=later) == timedelta()

    wait_after(database, 6, name="nurse")
    LOCK_OUT.forgive(database, Locked.ACCOUNT, name="nurse")
    assert wait_after(database, 4, name="nurse") == timedelta()


def test_refund_takes_back_one_attempt_only(database):
    wait_after(database, 49, name="10.0.0.7", kind=Locked.SOURCE)
    LOCK_OUT.charge(database, Locked.SOURCE, name="10.0.0.7", now=NOW)
    LOCK_OUT.refund(database, Locked.SOURCE, name="10.0.0.7", charged_at=NOW)

    assert charge(database, name="10.0.0.7", kind=Locked.SOURCE, now=NOW) == timedelta()
    assert wait_after(database, 1, name="10.0.0.7", kind=Locked.SOURCE) == timedelta(seconds=30)


def test_refund_leaves_the_lock_that_others_earned_meanwhile(database):
    long_ago = NOW - timedelta(minutes=10)  # a provider takes its time
    LOCK_OUT.charge(database, Locked.SOURCE, name="10.0.0.7", now=long_ago)
    wait_after(database, 50, name="10.0.0.7", kind=Locked.SOURCE)
    LOCK_OUT.refund(database, Locked.SOURCE, name="10.0.0.7", charged_at=long_ago)

    later = NOW + timedelta(seconds=30)
    assert charge(database, name="10.0.0.7", kind=Locked.SOURCE, now=later) == timedelta(minutes=1)


def test_good_sign_in_leaves_no_lock_however_many_failed_before_it(database):
    wait_after(database, 50, name="10.0.0.7", kind=Locked.SOURCE)
    later = NOW + timedelta(minutes=1)
    for _ in range(3):
        LOCK_OUT.charge(database, Locked.SOURCE, name="10.0.0.7", now=later)
        LOCK_OUT.refund(database, Locked.SOURCE, name="10.0.0.7", charged_at=later)

    assert charge(database, name="10.0.0.7", kind=Locked.SOURCE, now=later) == timedelta()


def test_attempts_made_at_once_cannot_outrun_the_count(database_url):
    def attempt(_):
        with connect(database_url) as connection:
            try:
                LOCK_OUT.charge(connection, Locked.ACCOUNT, name="doctor", now=NOW)
            except LoginThrottled:
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        allowed = sum(threads.map(attempt, range(24)))

    assert allowed == LIMITS[Locked.ACCOUNT].allowed


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("", "unknown"),
    ],
)
def test_source_is_what_one_subscriber_has(address, source):
    assert source_of(address) == source
