from types import SimpleNamespace

import pytest

from devices import registry
from devices.errors import DriverUnknown
from devices.formats.polar_pmd import SERVICE_UUID
from devices.registry import driver_by_name, find_driver, find_driver_for


def found(name, *service_uuids):
    driver = find_driver_for(name, service_uuids)
    return driver and driver.name


def test_every_driver_file_is_found():
    assert set(driver_by_name()) == {
        "blood_pressure",
        "contec_cms50dplus",
        "heart_rate",
        "polar_h10",
        "pulse_oximeter",
    }


def test_driver_is_found_by_name():
    assert find_driver("heart_rate").name == "heart_rate"


def test_unknown_driver_names_the_known_ones():
    with pytest.raises(DriverUnknown, match=r"'nope'.*heart_rate"):
        find_driver("nope")


def test_name_that_two_files_declare_is_refused(monkeypatch):
    twice = SimpleNamespace(DRIVER=SimpleNamespace(name="twice"), __file__="second.py")
    monkeypatch.setattr(registry.importlib, "import_module", lambda _name: twice)
    with pytest.raises(ValueError, match=r"'twice' is declared twice; second time in second\.py"):
        driver_by_name.__wrapped__()


@pytest.mark.parametrize(
    ("service", "driver"),
    [("180D", "heart_rate"), ("1810", "blood_pressure"), ("1822", "pulse_oximeter")],
)
def test_standard_service_finds_its_driver_in_any_spelling(service, driver):
    assert found(None, service) == driver
    assert found("Yuwell", f"0000{service.lower()}-0000-1000-8000-00805f9b34fb") == driver


def test_named_device_is_never_taken_by_the_driver_of_its_service():
    assert found("Polar H10 1A2B3C4D", "180D", SERVICE_UUID) == "polar_h10"
    assert found("Polar H10 1A2B3C4D") == "polar_h10"


def test_other_device_of_the_same_maker_is_an_ordinary_strap():
    assert found("Polar H9 1A2B3C4D", "180D", SERVICE_UUID) == "heart_rate"


def test_vendor_service_without_the_name_is_nobodys():
    assert found(None, SERVICE_UUID) is None


def test_device_without_a_known_service_is_nobodys():
    assert found("Headphones", "180F", "110B") is None
