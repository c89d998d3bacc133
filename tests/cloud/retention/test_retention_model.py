"""What a policy may say."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.identity.sight import DataClass
from cloud.retention.model import (
    CareClass,
    Kind,
    LastContact,
    Policy,
    PolicyInvalid,
    Years,
    parse_policy,
)
from cloud.retention.stream import read_policy, seconds_until

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
TWENTY = {"outpatient": 20, "inpatient": 40}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"general": {"outpatient": 14}}, r"general.outpatient: 14 .*病历管理规定 art. 29"),
        ({"sensitive": {"inpatient": 29}}, r"sensitive.inpatient: 29 .*病历管理规定 art. 29"),
        ({"highly_sensitive": {"inpatient": 1}}, r"highly_sensitive.inpatient: 1 .*病历管理规定 art. 29"),
        ({"waveform_years": 2}, r"waveform_years: 2 .*互联网诊疗监管细则"),
        ({"sign_in_days": 183}, r"sign_in_days: 183 .*网络安全法 art. 21"),
        ({"refused_message_days": 0}, r"refused_message_days: 0 .*网络安全法 art. 21"),
        ({"audit": "6 months"}, "audit: .*forever"),
        ({"general": TWENTY}, "outlive the person's name"),
        ({"waveform_yaers": 5}, "waveform_yaers: no such word"),
        ({"general": {"years": 20}}, r"general.years: no such word"),
        ({"general": 20}, "the file"),
        ({"waveform_years": 10**9}, "waveform_years"),
    ],
)
def test_policy_below_the_law_or_unclear_is_refused_with_its_reason(said, reason):
    with pytest.raises(PolicyInvalid, match=reason):
        parse_policy(said)


def test_classes_may_be_kept_for_different_times():
    policy = parse_policy({"sensitive": TWENTY, "waveform_years": 3, "audit": "forever"})
    contact = LastContact(at=datetime(2000, 2, 29, tzinfo=UTC), care=CareClass.OUTPATIENT)

    assert policy.kept_until(contact, DataClass.GENERAL) == datetime(2015, 2, 28, tzinfo=UTC)
    assert policy.kept_until(contact) == datetime(2020, 2, 29, tzinfo=UTC)
    assert policy.limit_of(Kind.WAVEFORMS, NOW) == NOW.replace(year=2023)
    assert policy.limit_of(Kind.SIGN_INS, NOW) == NOW - timedelta(days=184)
    assert policy.earliest_limit(NOW) == NOW.replace(year=2011)
    assert policy.sha256 != Policy().sha256


def test_without_a_file_the_periods_of_the_law_hold(tmp_path):
    assert read_policy(None) == Policy(general=Years(outpatient=15, inpatient=30))
    assert Policy().limit_of(Kind.WAVEFORMS, NOW) is None
    path = tmp_path / "policy.toml"
    path.write_text("waveform_years = 5\n[sensitive]\noutpatient = 20\n")
    assert read_policy(path) == Policy(sensitive=Years(outpatient=20), waveform_years=5)


@pytest.mark.parametrize("text", [None, "waveform_years ="], ids=["missing", "no TOML"])
def test_file_that_cannot_be_used_is_told_by_name(tmp_path, text):
    path = tmp_path / "policy.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PolicyInvalid, match=r"policy\.toml"):
        read_policy(path)


@pytest.mark.parametrize(("hour", "hours"), [(13, 1), (12, 24), (3, 15)])
def test_the_hour_is_one_of_a_clock_in_china(hour, hours):
    assert seconds_until(hour, NOW) == hours * 3600
