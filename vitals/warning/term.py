"""Conditions made to run: a syntax tree becomes one closure over a frame of values, with three truths.

True, False, and None for unknown (strong Kleene logic: S. C. Kleene, Introduction to Metamathematics, 1952,
section 64). A missing input makes a comparison unknown, never false; `and` is false as soon as one side is,
`or` true as soon as one side is. A result is False only if every value that the missing inputs could take
gives False: silence never reads as health.

A number is a float, or None. A score whose inputs are incomplete is the interval of the totals that it could
have; a comparison with it is decided if the whole interval agrees.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from vitals.warning.expression import (
    Aggregate,
    Arithmetic,
    AtLeast,
    Comparison,
    Name,
    Node,
    Not,
    Number,
    Question,
    Window,
    Word,
)
from vitals.warning.frame import Frame
from vitals.warning.window import BucketWindow

Read = Callable[[Frame], Any]


class Kind(StrEnum):
    """The type of a term."""

    NUMBER = "a number"
    INTERVAL = "a score"
    WORD = "a word"
    TRUTH = "a truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A part of a condition; it can change only when one of `channels` does, or with time in a window."""

    kind: Kind
    read: Read
    channels: frozenset[int] = frozenset()


class TermInvalid(Exception):
    """A tree that can be read but says nothing; who knows the rule gives it a line."""

    def __init__(self, reason: str, *, column: int) -> None:
        super().__init__(reason, column)
        self.reason = reason
        self.column = column


class Scope(Protocol):
    """Where names mean something."""

    def find(self, node: Name) -> Term:
        """What a name stands for, or `TermInvalid`."""
        ...

    def ask(self, node: Question) -> Term:
        """The answer to a question about an input, or `TermInvalid`."""
        ...

    def open_window(self, node: Window, operand: Term) -> int:
        """The slot in `Frame.windows` that gathers `operand`."""
        ...


def build_term(node: Node, scope: Scope) -> Term:
    """The closure of a tree.

    Raises:
        TermInvalid: an unknown name, or a word where a number must stand.
    """
    return _BUILDERS[type(node)](node, scope)


def build_condition(node: Node, scope: Scope) -> Term:
    """The closure of a tree that must be a truth."""
    return _build_of_kind(node, scope, kind=Kind.TRUTH)


def negate(term: Term) -> Term:
    """The other truth; of unknown it is unknown."""
    read_operand = term.read

    def read(frame: Frame) -> bool | None:
        truth = read_operand(frame)
        return None if truth is None else not truth

    return Term(kind=Kind.TRUTH, read=read, channels=term.channels)


def _build_of_kind(node: Node, scope: Scope, *, kind: Kind) -> Term:
    term = build_term(node, scope)
    if term.kind is not kind:
        raise TermInvalid(f"expected {kind}, found {term.kind}", column=node.column)
    return term


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = MappingProxyType(
    {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "=": operator.eq,
        "!=": operator.ne,
    }
)
_MIRRORED = MappingProxyType({"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="})


def _build_number(node: Number, _: Scope) -> Term:
    value = node.value
    return Term(kind=Kind.NUMBER, read=lambda _: value)


def _build_word(node: Word, _: Scope) -> Term:
    word = node.value
    return Term(kind=Kind.WORD, read=lambda _: word)


def _build_not(node: Not, scope: Scope) -> Term:
    return negate(_build_of_kind(node.operand, scope, kind=Kind.TRUTH))


def _build_arithmetic(node: Arithmetic, scope: Scope) -> Term:
    left = _build_of_kind(node.left, scope, kind=Kind.NUMBER)
    right = _build_of_kind(node.right, scope, kind=Kind.NUMBER)
    read_left, read_right, compute = left.read, right.read, _ARITHMETIC[node.operator]

    def read(frame: Frame) -> float | None:
        first, second = read_left(frame), read_right(frame)
        if first is None or second is None:
            return None
        try:
            result = compute(first, second)
        except ZeroDivisionError:
            return None
        return result if math.isfinite(result) else None  # nothing is known of what is no number

    return Term(kind=Kind.NUMBER, read=read, channels=left.channels | right.channels)


def _build_comparison(node: Comparison, scope: Scope) -> Term:
    left, right = build_term(node.left, scope), build_term(node.right, scope)
    channels = left.channels | right.channels
    kinds = {left.kind, right.kind}
    if kinds == {Kind.INTERVAL, Kind.NUMBER}:
        sign = node.operator if left.kind is Kind.INTERVAL else _MIRRORED[node.operator]
        interval, number = (left, right) if left.kind is Kind.INTERVAL else (right, left)
        return Term(
            kind=Kind.TRUTH, read=_compare_interval(sign, interval.read, number.read), channels=channels
        )
    if len(kinds) > 1 or Kind.INTERVAL in kinds:
        raise TermInvalid(f"cannot compare {left.kind} with {right.kind}", column=node.column)
    if kinds != {Kind.NUMBER} and node.operator not in ("=", "!="):
        raise TermInvalid(f"cannot order {left.kind}", column=node.column)
    return Term(kind=Kind.TRUTH, read=_compare(node, left.read, right.read), channels=channels)


def _compare(node: Comparison, read_left: Read, read_right: Read) -> Read:
    compare = _COMPARE[node.operator]
    if isinstance(node.right, Number):  # by far the most: spare a call
        limit = node.right.value

        def read_against_limit(frame: Frame) -> bool | None:
            value = read_left(frame)
            return None if value is None else compare(value, limit)

        return read_against_limit

    def read(frame: Frame) -> bool | None:
        first, second = read_left(frame), read_right(frame)
        return None if first is None or second is None else compare(first, second)

    return read


def _compare_interval(sign: str, read_interval: Read, read_number: Read) -> Read:
    """Decided if every number of the interval gives the same answer."""
    compare = _COMPARE[sign]

    def read(frame: Frame) -> bool | None:
        interval, number = read_interval(frame), read_number(frame)
        if number is None:
            return None
        low, high = interval
        at_low, at_high = compare(low, number), compare(high, number)
        if at_low != at_high:
            return None
        if sign in ("=", "!=") and low < number < high:
            return None  # both ends miss it, something between may not
        return at_low

    return read


def _build_at_least(node: AtLeast, scope: Scope) -> Term:
    terms = [_build_of_kind(operand, scope, kind=Kind.TRUTH) for operand in node.operands]
    channels = frozenset[int]().union(*(term.channels for term in terms))
    reads = tuple(term.read for term in terms)
    if node.number == 1:
        return Term(kind=Kind.TRUTH, read=_any_of(reads), channels=channels)
    if node.number == len(reads):
        return Term(kind=Kind.TRUTH, read=_all_of(reads), channels=channels)
    return Term(kind=Kind.TRUTH, read=_at_least(node.number, reads), channels=channels)


def _any_of(reads: tuple[Read, ...]) -> Read:
    def read(frame: Frame) -> bool | None:
        answer: bool | None = False
        for read_one in reads:
            truth = read_one(frame)
            if truth:
                return True
            if truth is None:
                answer = None
        return answer

    return read


def _all_of(reads: tuple[Read, ...]) -> Read:
    def read(frame: Frame) -> bool | None:
        answer: bool | None = True
        for read_one in reads:
            truth = read_one(frame)
            if truth is False:
                return False
            if truth is None:
                answer = None
        return answer

    return read


def _at_least(number: int, reads: tuple[Read, ...]) -> Read:
    def read(frame: Frame) -> bool | None:
        truths = [read_one(frame) for read_one in reads]
        known = truths.count(True)
        if known >= number:
            return True
        return None if known + truths.count(None) >= number else False

    return read


_READ_WINDOW: Mapping[Aggregate, Callable[[BucketWindow, int], float | None]] = MappingProxyType(
    {
        Aggregate.MEAN: BucketWindow.mean,
        Aggregate.MIN: BucketWindow.min,
        Aggregate.MAX: BucketWindow.max,
        Aggregate.SUM: BucketWindow.sum,
        Aggregate.SLOPE: BucketWindow.slope,
        Aggregate.COUNT: BucketWindow.sum,  # of ones and zeros
    }
)


def _build_window(node: Window, scope: Scope) -> Term:
    """Known while what it gathers is known: a mean of what was is not shown as what is."""
    operand = build_term(node.operand, scope)
    wanted = Kind.TRUTH if node.aggregate is Aggregate.COUNT else Kind.NUMBER
    if operand.kind is not wanted:
        raise TermInvalid(f"{node.aggregate}() takes {wanted}, found {operand.kind}", column=node.column)
    slot = scope.open_window(node, operand)
    read_operand, aggregate, values_min = operand.read, _READ_WINDOW[node.aggregate], node.values_min

    def read(frame: Frame) -> float | None:
        if read_operand(frame) is None:
            return None
        window = frame.windows[slot]
        if window.count(frame.now_ms) < values_min:
            return None
        return aggregate(window, frame.now_ms)

    return Term(kind=Kind.NUMBER, read=read, channels=operand.channels)


_BUILDERS: Mapping[type, Callable[[Any, Scope], Term]] = MappingProxyType(
    {
        Number: _build_number,
        Word: _build_word,
        Name: lambda node, scope: scope.find(node),
        Question: lambda node, scope: scope.ask(node),
        Arithmetic: _build_arithmetic,
        Comparison: _build_comparison,
        Not: _build_not,
        AtLeast: _build_at_least,
        Window: _build_window,
    }
)
