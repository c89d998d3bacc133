"""The language of conditions: text in, a syntax tree out.

A condition is read by a clinician, so it is written as one would say it:

    spo2 < 90 and not on_oxygen
    mean(hr) over 10 min with 5 values > patient.resting_hr + 20
    at least 2 of (temp > 38, hr > 90, rr > 20)
    news2.total >= 5

There are numbers, words ("A"), truths and scores; no assignment, no loop, no call of anything but the windows
below. Every node knows the column of its first word or of its operator, so that an error can point at it; two
nodes are equal if they say the same, wherever they stand.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from vitals.warning.errors import ExpressionInvalid

MS_BY_UNIT = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class Aggregate(StrEnum):
    """What a window tells of the values in it."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    SLOPE = "slope"  # least squares, per hour
    COUNT = "count"  # of the instants at which a truth was true


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """`90`."""

    column: int = field(compare=False)
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """`"A"`."""

    column: int = field(compare=False)
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """An input, a parameter, or a field: `spo2`, `limit`, `news2.total`, `patient.age`."""

    column: int = field(compare=False)
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """`-x` is `0 - x`."""

    column: int = field(compare=False)
    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One comparison of two numbers, or of two words by `=` and `!=`."""

    column: int = field(compare=False)
    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The other truth; of unknown it is unknown."""

    column: int = field(compare=False)
    operand: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLeast:
    """At least `number` of the truths; `and` is all of them, `or` is one of them."""

    column: int = field(compare=False)
    number: int
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """An aggregate of what `operand` was at each instant of the last `span_ms`."""

    column: int = field(compare=False)
    aggregate: Aggregate
    operand: "Node"
    span_ms: int
    values_min: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """About the input itself: `missing(x)`, `gated(x)`, `disagreeing(x)`, and in studies `known(x)`."""

    column: int = field(compare=False)
    question: str
    name: str


Node = Number | Word | Name | Arithmetic | Comparison | Not | AtLeast | Window | Question

QUESTIONS = ("missing", "gated", "disagreeing", "known")
COMPARISONS = ("<", "<=", ">", ">=", "=", "!=")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_.]*)|\"(?P<word>[^\"]*)\""
    r"|(?P<sign><=|>=|!=|[-+*/()<>=,]))",
    re.ASCII,
)
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|min|h|d)", re.ASCII)
_DURATION_MAX_MS = 3660 * MS_BY_UNIT["d"]
_DEPTH_MAX = 40  # of brackets, and of the tree: a clinician reads three


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse_duration_ms(text: str) -> int:
    """The milliseconds of `30 s`, `1.5 min`, `4h`.

    Raises:
        ExpressionInvalid: anything else.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ExpressionInvalid(text, column=1, reason="must be a duration such as 30 s, 10 min, 4 h or 2 d")
    span_ms = _to_ms(match["number"], match["unit"])
    if span_ms is None:
        raise ExpressionInvalid(text, column=1, reason="is longer than ten years")
    return span_ms


def parse_expression(text: str) -> Node:
    """The tree of one condition.

    Raises:
        ExpressionInvalid: with the column at which it cannot be read.
    """
    parser = _Parser(text)
    node = parser.parse_or()
    parser.expect_end()
    _refuse_deep_tree(node, text)
    return node


def walk(node: Node) -> Iterator[Node]:
    """A node and all that it is made of."""
    yield node
    for child in _children(node):
        yield from walk(child)


def _to_ms(number: str, unit: str) -> int | None:
    """None if it is longer than any duration may be."""
    span_ms = float(number) * MS_BY_UNIT[unit]
    return round(span_ms) if span_ms <= _DURATION_MAX_MS else None


def _refuse_deep_tree(root: Node, text: str) -> None:
    """Chains such as `a + a + …` need no brackets to become deep; whoever walks the tree recurses."""
    level: list[Node] = [root]
    for _ in range(_DEPTH_MAX):
        level = [child for node in level for child in _children(node)]
    if level:
        raise ExpressionInvalid(text, column=level[0].column, reason="is nested too deeply")


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Arithmetic() | Comparison():
            return node.left, node.right
        case Not() | Window():
            return (node.operand,)
        case AtLeast():
            return node.operands
    return ()


def _split(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    end = len(text.rstrip())
    position = 0
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            column = position + len(text[position:]) - len(text[position:].lstrip())
            raise ExpressionInvalid(text, column=column + 1, reason=f"cannot read {text[column]!r}")
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        position = match.end()
    tokens.append(_Token("end", "", end + 1))
    return tokens


class _Parser:
    """Recursive descent, one method per level of binding strength, weakest first."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _split(text)
        self._at = 0
        self._depth = 0

    def parse_or(self) -> Node:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self._error("is nested too deeply")
        node = self._parse_joined("or", self._parse_and)
        self._depth -= 1
        return node

    def expect_end(self) -> None:
        if self._token.kind != "end":
            raise self._error(f"did not expect {self._token.text!r}")

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _error(self, reason: str, token: _Token | None = None) -> ExpressionInvalid:
        return ExpressionInvalid(self._text, column=(token or self._token).column, reason=reason)

    def _take(self) -> _Token:
        token = self._token
        if token.kind != "end":
            self._at += 1
        return token

    def _take_if(self, *texts: str) -> _Token | None:
        if self._token.kind in ("name", "sign") and self._token.text in texts:
            return self._take()
        return None

    def _expect(self, text: str) -> _Token:
        token = self._take_if(text)
        if token is None:
            raise self._error(f"expected {text!r}")
        return token

    def _parse_joined(self, word: str, parse: Callable[[], Node]) -> Node:
        first = parse()
        operands = [first]
        while self._take_if(word):
            operands.append(parse())
        if len(operands) == 1:
            return first
        number = 1 if word == "or" else len(operands)
        return AtLeast(column=first.column, number=number, operands=tuple(operands))

    def _parse_and(self) -> Node:
        return self._parse_joined("and", self._parse_not)

    def _parse_not(self) -> Node:
        negations = []
        while token := self._take_if("not"):
            negations.append(token.column)
        node = self._parse_comparison()
        for column in reversed(negations):
            node = Not(column=column, operand=node)
        return node

    def _parse_comparison(self) -> Node:
        left = self._parse_sum()
        token = self._take_if(*COMPARISONS)
        if token is None:
            return left
        right = self._parse_sum()
        if self._token.text in COMPARISONS and self._token.kind == "sign":
            raise self._error("compares twice: join two comparisons with `and`")
        return Comparison(column=token.column, operator=token.text, left=left, right=right)

    def _parse_sum(self) -> Node:
        return self._parse_arithmetic(("+", "-"), self._parse_product)

    def _parse_product(self) -> Node:
        return self._parse_arithmetic(("*", "/"), self._parse_sign)

    def _parse_arithmetic(self, signs: tuple[str, ...], parse: Callable[[], Node]) -> Node:
        node = parse()
        while token := self._take_if(*signs):
            node = Arithmetic(column=token.column, operator=token.text, left=node, right=parse())
        return node

    def _parse_sign(self) -> Node:
        signs = 0
        column = self._token.column
        while self._take_if("-"):
            signs += 1
        node = self._parse_primary()
        if signs % 2 == 0:
            return node
        return Arithmetic(column=column, operator="-", left=Number(column=column, value=0.0), right=node)

    def _parse_primary(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return self._read_number(token)
        if token.kind == "word":
            return Word(column=token.column, value=token.text)
        if token.text == "(":
            node = self.parse_or()
            self._expect(")")
            return node
        if token.kind != "name" or token.text in ("and", "or", "not", "over", "with", "of"):
            self._at -= token.kind != "end"
            raise self._error("expected a value" if token.kind == "end" else f"did not expect {token.text!r}")
        if token.text == "at" and self._take_if("least"):
            return self._parse_at_least(token)
        if self._token.text == "(" and self._token.kind == "sign":
            return self._parse_call(token)
        return Name(column=token.column, name=token.text)

    def _read_number(self, token: _Token) -> Number:
        value = float(token.text)
        if not math.isfinite(value):
            raise self._error("is too great a number", token)
        return Number(column=token.column, value=value)

    def _parse_at_least(self, token: _Token) -> Node:
        at_number = self._token
        number = self._take_whole()
        self._expect("of")
        self._expect("(")
        operands = [self.parse_or()]
        while self._take_if(","):
            operands.append(self.parse_or())
        self._expect(")")
        if not 1 <= number <= len(operands):
            raise self._error(f"asks for {number} of {len(operands)}", at_number)
        return AtLeast(column=token.column, number=number, operands=tuple(operands))

    def _parse_call(self, token: _Token) -> Node:
        self._expect("(")
        if token.text in QUESTIONS:
            name = self._take()
            if name.kind != "name":
                raise self._error(f"{token.text}() asks about one input", name)
            self._expect(")")
            return Question(column=token.column, question=token.text, name=name.text)
        if token.text not in tuple(Aggregate):
            known = ", ".join((*Aggregate, *QUESTIONS))
            raise self._error(f"knows no {token.text!r}; known: {known}", token)
        operand = self.parse_or()
        self._expect(")")
        self._expect("over")
        span_ms = self._take_duration()
        values_min = 1
        if self._take_if("with"):
            values_min = self._take_whole()
            self._expect("values")
        return Window(
            column=token.column,
            aggregate=Aggregate(token.text),
            operand=operand,
            span_ms=span_ms,
            values_min=values_min,
        )

    def _take_whole(self) -> int:
        text = self._token.text
        if self._token.kind != "number" or "." in text or len(text) > 6 or int(text) == 0:
            raise self._error("expected a whole number above 0")
        return int(self._take().text)

    def _take_duration(self) -> int:
        number = self._take()
        unit = self._take()
        if number.kind != "number" or unit.kind != "name" or unit.text not in MS_BY_UNIT:
            raise self._error("expected a duration such as 10 min", number)
        span_ms = _to_ms(number.text, unit.text)
        if not span_ms:
            raise self._error("a window has a length, of ten years at most", number)
        return span_ms
