import pytest
from starlette.datastructures import Headers

from cloud.pace import Allowance, Buckets, Pace, Strangers, source_of


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    return Pace(source=Allowance(per_s=2, burst=40), session=Allowance(per_s=1, burst=3), clock_s=clock)


def asked(pace, *, path="/api/me", source="192.0.2.1", **headers):
    return pace.take({"path": path, "client": (source, 1)}, Headers(headers))


def test_burst_is_given_and_then_as_much_as_flows_in(pace, clock):
    assert [asked(pace, cookie="a") for _ in range(4)] == [None, None, None, 1]
    clock.now_s += 1
    assert [asked(pace, cookie="a") for _ in range(2)] == [None, 1]


def test_one_session_does_not_slow_another_behind_the_same_address(pace):
    assert [asked(pace, cookie="a") for _ in range(4)][-1] == 1
    assert asked(pace, cookie="b") is None
    assert asked(pace, authorization="Bearer c") is None


def test_inventing_sessions_gains_nothing(pace):
    waits = [asked(pace, cookie=str(number)) for number in range(41)]

    assert waits[:40] == [None] * 40
    assert waits[40] == 1
    assert asked(pace, source="192.0.2.2") is None


def test_login_costs_as_much_as_many_requests(pace):
    assert [asked(pace, path="/api/login") for _ in range(3)] == [None, None, 10]


def test_wall_that_opens_costs_its_session_fifty_requests(clock):
    pace = Pace(session=Allowance(per_s=50, burst=1000), clock_s=clock)

    assert [asked(pace, path="/api/live", cookie="a") for _ in range(21)] == [None] * 20 + [1]


def test_forty_walls_of_one_address_may_open_at_once_with_a_hundred_trends_each(clock):
    pace = Pace(clock_s=clock)
    for wall in range(40):
        paths = ["/api/live"] + ["/api/patients/p-1/trend"] * 100
        assert [asked(pace, path=path, cookie=str(wall)) for path in paths] == [None] * 101


def test_of_one_stranger_one_refusal_a_minute_is_news_and_of_all_one_a_second(clock):
    strangers = Strangers(clock_s=clock)
    assert [strangers.is_news("192.0.2.1") for _ in range(3)] == [True, False, False]
    assert sum(strangers.is_news(f"source-{number}") for number in range(100)) == 59
    clock.now_s += 60
    assert strangers.is_news("192.0.2.1")


def test_refused_request_takes_nothing(pace, clock):
    for _ in range(40):
        asked(pace)
    assert [asked(pace) for _ in range(100)] == [1] * 100
    clock.now_s += 0.5
    assert asked(pace) is None


def test_number_of_buckets_is_bounded_and_the_stalest_goes():
    buckets = Buckets(Allowance(per_s=1, burst=1), most=3)
    for key in ("a", "b", "c", "a", "d"):
        buckets.take(key, 1, now_s=0)

    assert len(buckets) == 3
    assert buckets.take("a", 1, now_s=0) == 1
    assert buckets.take("b", 1, now_s=0) is None


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("nonsense", "unknown"),
    ],
)
def test_source_is_an_address_or_the_network_of_a_house(address, source):
    assert source_of({"client": (address, 1)}) == source


def test_source_without_an_address_is_counted_too():
    assert source_of({"client": None}) == "unknown"
