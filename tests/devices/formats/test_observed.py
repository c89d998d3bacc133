from datetime import UTC, datetime
from decimal import Decimal

import pytest

from devices.formats.medfloat import NotANumber
from devices.formats.observed import Circumstances, StatusBit, apply_status, observe, observe_unless_zero
from vitals.observation import Flag, Quality

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LIVE = Circumstances.live(NOW)


@pytest.mark.parametrize(
    ("special", "flag"),
    [
        (NotANumber.NAN, Flag.FAILED),
        (NotANumber.NRES, Flag.BELOW_RESOLUTION),
        (NotANumber.ABOVE, Flag.ABOVE_RANGE),
        (NotANumber.BELOW, Flag.BELOW_RANGE),
        (NotANumber.RESERVED, Flag.RESERVED),
    ],
)
def test_special_number_is_no_value_with_its_reason(special, flag):
    observed = observe("spo2", special, unit="%", under=LIVE)
    assert (observed.value, observed.quality, observed.flags) == (None, Quality.INVALID, (flag,))


def test_implausible_value_is_kept_and_marked():
    observed = observe("spo2", 30, unit="%", under=LIVE)
    assert observed.value == 30
    assert (observed.quality, observed.flags) == (Quality.QUESTIONABLE, (Flag.IMPLAUSIBLE,))


def test_plausibility_is_judged_in_the_unit_of_the_vocabulary():
    assert observe("nibp_sys", Decimal("18.9"), unit="kPa", under=LIVE).quality is Quality.GOOD
    assert observe("nibp_sys", Decimal("18.9"), unit="mm[Hg]", under=LIVE).flags == (Flag.IMPLAUSIBLE,)


@pytest.mark.parametrize("key", ["ecg_feature", "pleth"], ids=["unknown key", "key without range"])
def test_key_without_a_range_is_never_implausible(key):
    assert observe(key, 70000, unit="1", under=LIVE).quality is Quality.GOOD


def test_zero_while_searching_is_no_value():
    observed = observe_unless_zero("heart_rate", 0, unit="/min", under=LIVE)
    assert (observed.value, observed.flags) == (None, (Flag.SEARCHING,))


def test_status_bits_add_flags_and_keep_the_worst_quality():
    bits = (
        StatusBit(bit=0, quality=Quality.INVALID, flags=(Flag.NO_CONTACT,)),
        StatusBit(bit=1, quality=Quality.QUESTIONABLE, flags=(Flag.MOVEMENT, Flag.NO_CONTACT)),
        StatusBit(bit=2, flags=(Flag.TESTING,)),
    )
    under = apply_status(LIVE, 0b011, bits)
    assert (under.quality, under.flags) == (Quality.INVALID, (Flag.NO_CONTACT, Flag.MOVEMENT))
