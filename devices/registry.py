"""Finds every driver by looking into `devices/drivers/`."""

import importlib
import pkgutil
from functools import cache

import devices.drivers
from devices.driver import Driver
from devices.errors import DriverUnknown


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
