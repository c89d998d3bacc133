import threading
import time

import pytest
from psycopg.errors import IdleInTransactionSessionTimeout

from cloud.shards import queries
from cloud.shards.model import GroupsDiffer, LeaseLost
from cloud.shards.service import LeaseBook, are_all_held, fence, lay_out
from cloud.store.connection import connect

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture
def four(database):
    lay_out(database, 4)
    return database


def groups_of(book):
    return sorted(lease.group for lease in book.held)


def let_run_out(database):
    """As if nobody had renewed for long."""
    database.execute("UPDATE ingest_lease SET until = clock_timestamp() - interval '1 ms'")
    database.execute("UPDATE ingest_worker SET seen_at = now() - interval '1 minute'")


def test_one_worker_takes_everything_and_two_share(four):
    first, second = LeaseBook("a", groups=4), LeaseBook("b", groups=4)
    first.follow(four, tally={})
    assert groups_of(first) == [0, 1, 2, 3]
    assert are_all_held(four)

    second.follow(four, tally={})
    assert groups_of(second) == []
    first.give_back(four, first.surplus(four))
    second.follow(four, tally={})
    assert (groups_of(first), groups_of(second)) == ([0, 1], [2, 3])


def test_leases_of_a_dead_worker_are_taken_when_they_have_run_out(four):
    dead, heir = LeaseBook("dead", groups=4), LeaseBook("heir", groups=4)
    dead.follow(four, tally={})
    heir.follow(four, tally={})
    assert groups_of(heir) == []

    let_run_out(four)
    assert not are_all_held(four)
    heir.follow(four, tally={})
    assert groups_of(heir) == [0, 1, 2, 3]


def test_worker_that_comes_back_under_its_name_goes_on_at_once(four):
    LeaseBook("local", groups=4).follow(four, tally={})
    again = LeaseBook("local", groups=4)
    again.follow(four, tally={})

    assert groups_of(again) == [0, 1, 2, 3]


def test_of_two_that_believe_they_own_a_group_only_the_last_can_write(four):
    sleeper, heir = LeaseBook("sleeper", groups=4), LeaseBook("heir", groups=4)
    sleeper.follow(four, tally={})
    let_run_out(four)
    heir.follow(four, tally={})

    with pytest.raises(LeaseLost, match="group 0 is not sleeper's"), four.transaction():
        fence(sleeper.held[0]).hold(four)
    with four.transaction():
        fence(heir.held[0]).hold(four)
    sleeper.follow(four, tally={})
    assert groups_of(sleeper) == []


def test_group_is_not_taken_while_its_holder_writes(four, database_url):
    holder, heir = LeaseBook("holder", groups=4), LeaseBook("heir", groups=4)
    holder.follow(four, tally={})
    let_run_out(four)
    with connect(database_url) as other, four.transaction():
        fence(holder.held[0]).hold(four)
        heir.follow(other, tally={})
        assert groups_of(heir) == [1, 2, 3]

    heir.follow(four, tally={})
    assert groups_of(heir) == [0, 1, 2, 3]


def test_group_of_a_worker_that_sleeps_in_a_transaction_is_taken(four, database_url):
    holder, heir = LeaseBook("holder", groups=4), LeaseBook("heir", groups=4)
    holder.follow(four, tally={})
    let_run_out(four)
    sleeper = connect(database_url, longest_pause_s=0.2)
    sleeper.execute("BEGIN")
    fence(holder.held[0]).hold(sleeper)
    time.sleep(0.6)
    heir.follow(four, tally={})

    assert groups_of(heir) == [0, 1, 2, 3]
    with pytest.raises(IdleInTransactionSessionTimeout):
        sleeper.execute("COMMIT")
    sleeper.close()


def test_other_number_of_groups_is_refused_while_a_worker_runs(four):
    LeaseBook("a", groups=4).follow(four, tally={})
    with pytest.raises(GroupsDiffer, match="QIANLI_INGEST_GROUPS is 2, but workers that run now use 4"):
        lay_out(four, 2)

    let_run_out(four)
    lay_out(four, 2)
    assert [state.group for state in queries.find_groups(four)] == [0, 1]


def test_two_that_lay_out_at_once_agree(database_url, database):
    def lay():
        with connect(database_url) as connection:
            lay_out(connection, 4)

    threads = [threading.Thread(target=lay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state.group for state in queries.find_groups(database)] == [0, 1, 2, 3]


def test_worker_that_leaves_keeps_nobody_waiting(four):
    first, second = LeaseBook("a", groups=4), LeaseBook("b", groups=4)
    first.follow(four, tally={})
    first.leave(four)
    second.follow(four, tally={})

    assert groups_of(second) == [0, 1, 2, 3]
