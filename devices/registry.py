"""Finds every driver by looking into `devices/drivers/`."""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache

import devices.drivers
from devices.driver import Driver, Transport
from devices.errors import DriverUnknown
from devices.formats.gatt_uuid import canonical_uuid


@cache
def driver_by_name() -> dict[str, Driver]:
    """Every declared driver, by its name.

    Raises:
        ValueError: two files declare the same name.
    """
    found: dict[str, Driver] = {}
    for module_entry in pkgutil.iter_modules(devices.drivers.__path__):
        module = importlib.import_module(f"devices.drivers.{module_entry.name}")
        driver: Driver = module.DRIVER
        if driver.name in found:
            msg = f"driver name {driver.name!r} is declared twice; second time in {module.__file__}"
            raise ValueError(msg)
        found[driver.name] = driver
    return found


def find_driver(name: str) -> Driver:
    """The driver of that name.

    Raises:
        DriverUnknown: with the names that exist.
    """
    drivers = driver_by_name()
    if name not in drivers:
        raise DriverUnknown(name, known=tuple(sorted(drivers)))
    return drivers[name]


def find_driver_for(name: str | None, service_uuids: Iterable[str]) -> Driver | None:
    """The driver of a Bluetooth device, by what it advertises.

    A driver that names its devices gets exactly those, the longest matching name first; only then are the
    drivers of standard services asked. So a Polar H10, which has the Heart Rate Service too, is no
    ordinary strap, and a strap of another name with Polar's service is.
    """
    drivers = [driver for driver in driver_by_name().values() if driver.transport is Transport.BLE]
    named = [
        (len(prefix), driver)
        for driver in drivers
        for prefix in driver.match.name_prefixes
        if (name or "").startswith(prefix)
    ]
    if named:
        return max(named, key=lambda match: match[0])[1]
    advertised = {canonical_uuid(uuid) for uuid in service_uuids}
    for driver in drivers:
        if not driver.match.name_prefixes and advertised.intersection(driver.match.service_uuids):
            return driver
    return None
