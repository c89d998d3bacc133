import pytest

from devices.formats.gatt_uuid import canonical_uuid

POLAR = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"


@pytest.mark.parametrize("text", ["2A37", "2a37", "0x2A37", " 2a37 ", "00002A37-0000-1000-8000-00805F9B34FB"])
def test_sixteen_bit_uuid_is_short_and_in_capitals(text):
    assert canonical_uuid(text) == "2A37"


def test_other_uuid_is_long_and_in_lower_case():
    assert canonical_uuid(POLAR.upper()) == POLAR
