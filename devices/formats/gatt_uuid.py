"""The one spelling of a UUID: "2A37" for the 16-bit ones, 128 bits in lower case for all others."""

BASE_UUID_TAIL = "-0000-1000-8000-00805f9b34fb"
"""Bluetooth Core, Vol 3 Part B §2.5.1: a 16-bit UUID stands for 0000xxxx in front of this."""


def canonical_uuid(text: str) -> str:
    """A UUID in our spelling, whatever its case and whether it was written short or long."""
    lower = text.strip().lower().removeprefix("0x")
    if lower.startswith("0000") and lower.endswith(BASE_UUID_TAIL):
        lower = lower[4:8]
    return lower.upper() if len(lower) == 4 else lower
