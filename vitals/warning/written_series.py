"""The series of a rule's own tests, written as `95x6 88x4 null x3 100..90x11`.

Like the `input_series` of promtool: a value and how often; `a..b` goes in equal steps.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

SeriesValue = float | str | bool | None
_NUMBER = r"-?\d+(?:\.\d+)?"
_ENTRY = re.compile(
    rf"(?P<first>{_NUMBER}|(?!x\d)[a-zA-Z_]\w*?)(?:\.\.(?P<last>{_NUMBER}))?(?:\s*x\s*(?P<times>\d{{1,9}}))?(?:\s+|$)",
    re.ASCII,
)
_VALUES_MAX = 100_000
_WORDS: Mapping[str, SeriesValue] = MappingProxyType({"null": None, "true": True, "false": False})


def read_series(text: str) -> tuple[SeriesValue, ...]:
    """The values of a series; None stands for no sample at that step.

    Raises:
        ValueError: with the entry that cannot be read.
    """
    values: list[SeriesValue] = []
    position = 0
    text = text.strip()
    while position < len(text):
        match = _ENTRY.match(text, position)
        if match is None:
            msg = f"cannot read {text[position:].split()[0]!r}; write 95x6, null x3 or 100..90x11"
            raise ValueError(msg)
        values += _expand(match["first"], match["last"], int(match["times"] or 1))
        if len(values) > _VALUES_MAX:
            msg = f"is longer than {_VALUES_MAX} values"
            raise ValueError(msg)
        position = match.end()
    return tuple(values)


def _expand(first: str, last: str | None, times: int) -> list[SeriesValue]:
    value = _read_value(first)
    if times == 0:
        msg = f"{first}x0 is no value at all"
        raise ValueError(msg)
    times = min(times, _VALUES_MAX + 1)
    if last is None:
        return [value] * times
    if times < 2 or not isinstance(value, float):
        msg = f"{first}..{last} needs two numbers and at least x2"
        raise ValueError(msg)
    step = (float(last) - value) / (times - 1)
    return [round(value + step * number, 6) for number in range(times)]


def _read_value(text: str) -> SeriesValue:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return float(text)
    except ValueError:
        return text
