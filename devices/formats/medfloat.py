"""The two decimal float formats of IEEE 11073-20601, used by every standard Bluetooth health profile.

SFLOAT (16 bit, "medfloat16") is a 4-bit exponent over a 12-bit mantissa, FLOAT (32 bit, "medfloat32") an
8-bit exponent over a 24-bit one; value = mantissa * 10^exponent. Both parts are **two's complement**:
reading the exponent as biased is a known and repeated mistake (it turns 120 into 1.2e-06).

Five codes are not numbers (20601 §6.3 and the GATT Specification Supplement). They count only with
exponent 0: 0x17FF is the ordinary number 20470. Results are `Decimal`, so that 114e-1 stays 11.4.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class NotANumber(StrEnum):
    """What a device may send in place of a number."""

    NAN = "NaN"  # the measurement failed, or this field is not computed
    NRES = "NRes"  # below the resolution of the device
    ABOVE = "+INF"
    BELOW = "-INF"
    RESERVED = "reserved"


MedicalNumber = Decimal | NotANumber


def decode_sfloat(code: int) -> MedicalNumber:
    """The number in a 16-bit SFLOAT."""
    return _decode(code, _SFLOAT)


def decode_float32(code: int) -> MedicalNumber:
    """The number in a 32-bit FLOAT."""
    return _decode(code, _FLOAT32)


def encode_sfloat(value: Decimal | float | NotANumber, exponent: int = 0) -> bytes:
    """Two little-endian bytes; the mantissa is `value` rounded to a multiple of 10^`exponent`.

    Raises:
        ValueError: the value does not fit with this exponent.
    """
    return _encode(value, exponent, _SFLOAT)


def encode_float32(value: Decimal | float | NotANumber, exponent: int = 0) -> bytes:
    """Four little-endian bytes; see `encode_sfloat`.

    Raises:
        ValueError: the value does not fit with this exponent.
    """
    return _encode(value, exponent, _FLOAT32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    exponent_bits: int
    mantissa_bits: int
    not_a_number_by_code: dict[int, NotANumber]

    @property
    def bits(self) -> int:
        return self.exponent_bits + self.mantissa_bits


def _layout(*, exponent_bits: int, mantissa_bits: int) -> _Layout:
    middle = 1 << (mantissa_bits - 1)
    specials = {
        middle - 2: NotANumber.ABOVE,
        middle - 1: NotANumber.NAN,
        middle: NotANumber.NRES,
        middle + 1: NotANumber.RESERVED,
        middle + 2: NotANumber.BELOW,
    }
    return _Layout(exponent_bits=exponent_bits, mantissa_bits=mantissa_bits, not_a_number_by_code=specials)


_SFLOAT = _layout(exponent_bits=4, mantissa_bits=12)
_FLOAT32 = _layout(exponent_bits=8, mantissa_bits=24)


def _decode(code: int, layout: _Layout) -> MedicalNumber:
    special = layout.not_a_number_by_code.get(code)
    if special is not None:
        return special
    mantissa = _signed(code & ((1 << layout.mantissa_bits) - 1), layout.mantissa_bits)
    exponent = _signed(code >> layout.mantissa_bits, layout.exponent_bits)
    return Decimal(mantissa).scaleb(exponent)


def _encode(value: Decimal | float | NotANumber, exponent: int, layout: _Layout) -> bytes:
    if isinstance(value, NotANumber):
        code = next(code for code, special in layout.not_a_number_by_code.items() if special is value)
        return code.to_bytes(layout.bits // 8, "little")
    mantissa = int(Decimal(str(value)).scaleb(-exponent).to_integral_value())
    if not _fits(mantissa, layout.mantissa_bits) or not _fits(exponent, layout.exponent_bits):
        msg = f"{value} does not fit into {layout.bits} bits with exponent {exponent}"
        raise ValueError(msg)
    mantissa_code = mantissa & ((1 << layout.mantissa_bits) - 1)
    exponent_code = exponent & ((1 << layout.exponent_bits) - 1)
    code = exponent_code << layout.mantissa_bits | mantissa_code
    if code in layout.not_a_number_by_code:
        msg = f"{value} with exponent {exponent} is the code of {layout.not_a_number_by_code[code]}"
        raise ValueError(msg)
    return code.to_bytes(layout.bits // 8, "little")


def _signed(code: int, bits: int) -> int:
    return code - (1 << bits) if code >> (bits - 1) else code


def _fits(number: int, bits: int) -> bool:
    return -(1 << (bits - 1)) <= number < 1 << (bits - 1)
