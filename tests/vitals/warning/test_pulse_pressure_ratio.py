from decimal import Decimal

from vitals.warning.pulse_pressure_ratio import divide_pulse


def test_ratio_is_of_the_decimal_texts_and_not_of_binary_numbers() -> None:
    ratio = divide_pulse({"pulse": 81.9, "sbp": 91})
    assert (ratio.lowest, ratio.is_known) == (Decimal("0.9"), True)


def test_missing_value_leaves_what_its_domain_leaves() -> None:
    ratio = divide_pulse({"pulse": 100, "sbp": None})
    assert (ratio.lowest, ratio.highest, ratio.is_known) == (Decimal("0.2"), Decimal(100), False)
    told = ratio.tell_value()
    assert (told.value, told.lowest, told.highest) == (None, 0.2, 100.0)
