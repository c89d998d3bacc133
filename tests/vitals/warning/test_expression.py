import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.warning.errors import ExpressionInvalid
from vitals.warning.expression import (
    Aggregate,
    Arithmetic,
    AtLeast,
    Comparison,
    Name,
    Not,
    Number,
    Question,
    Window,
    Word,
    parse_duration_ms,
    parse_expression,
)


def number(value):
    return Number(column=1, value=value)


def name(text):
    return Name(column=1, name=text)


def compare(left, sign, right):
    return Comparison(column=1, operator=sign, left=left, right=right)


def arithmetic(left, sign, right):
    return Arithmetic(column=1, operator=sign, left=left, right=right)


def joined(count, *operands):
    return AtLeast(column=1, number=count, operands=operands)


def window(aggregate, operand, span_ms, values_min=1):
    return Window(column=1, aggregate=aggregate, operand=operand, span_ms=span_ms, values_min=values_min)


A, B, C = (compare(name(letter), "<", number(1)) for letter in "abc")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("spo2 < 90", compare(name("spo2"), "<", number(90))),
        ("news2.total >= 5", compare(name("news2.total"), ">=", number(5))),
        ('acvpu != "A"', compare(name("acvpu"), "!=", Word(column=1, value="A"))),
        ("a < 1 or b < 1 and c < 1", joined(1, A, joined(2, B, C))),
        ("(a < 1 or b < 1) and c < 1", joined(2, joined(1, A, B), C)),
        ("a < 1 and b < 1 and c < 1", joined(3, A, B, C)),
        ("not a < 1 or b < 1", joined(1, Not(column=1, operand=A), B)),
        ("not not a < 1", Not(column=1, operand=Not(column=1, operand=A))),
        ("at least 2 of (a < 1, b < 1, c < 1)", joined(2, A, B, C)),
        ("at least 1 of (a < 1)", joined(1, A)),
        ("at < 1", compare(name("at"), "<", number(1))),
        ("x = 1 + 2 * 3", compare(name("x"), "=", arithmetic(number(1), "+", arithmetic(number(2), "*",
         number(3))))),
        ("x = 8 - 2 - 1", compare(name("x"), "=", arithmetic(arithmetic(number(8), "-", number(2)), "-",
         number(1)))),
        ("x <= 8 / 2", compare(name("x"), "<=", arithmetic(number(8), "/", number(2)))),
        ("x > -3", compare(name("x"), ">", arithmetic(number(0), "-", number(3)))),
        ("x > - -3.5", compare(name("x"), ">", number(3.5))),
        ("mean(hr) over 10 min > 5", compare(window(Aggregate.MEAN, name("hr"), 600_000), ">", number(5))),
        ("slope(hr) over 1.5 h with 5 values", window(Aggregate.SLOPE, name("hr"), 5_400_000, 5)),
        ("count(a < 1) over 1 d", window(Aggregate.COUNT, A, 86_400_000)),
        ("missing(spo2)", Question(column=1, question="missing", name="spo2")),
        ("\n  a\n<\t1 ", A),
    ],
)  # fmt: skip
def test_condition_becomes_its_tree(text, tree):
    assert parse_expression(text) == tree


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 1, "expected a value"),
        ("   ", 1, "expected a value"),
        ("spo2 <", 7, "expected a value"),
        ("spo2 < 90 and", 14, "expected a value"),
        ("< 90", 1, "did not expect '<'"),
        ("spo2 << 90", 7, "did not expect '<'"),
        ("a and or b", 7, "did not expect 'or'"),
        ("over", 1, "did not expect 'over'"),
        ("spo2 90", 6, "did not expect '90'"),
        ("(spo2 < 90", 11, "expected ')'"),
        ("spo2 < 90)", 10, "did not expect ')'"),
        ("80 < spo2 < 90", 11, "compares twice: join two comparisons with `and`"),
        ("spo2 % 2", 6, "cannot read '%'"),
        ("a =  \u00a0?", 7, "cannot read '?'"),
        ('acvpu = "A', 9, "cannot read '\"'"),
        ("x < ٣", 5, "cannot read '٣'"),
        ("at least 0 of (a)", 10, "expected a whole number above 0"),
        ("at least 2.5 of (a)", 10, "expected a whole number above 0"),
        ("at least 1234567 of (a)", 10, "expected a whole number above 0"),
        ("at least 3 of (a, b)", 10, "asks for 3 of 2"),
        ("at least two of (a, b)", 10, "expected a whole number above 0"),
        ("at least 2 (a, b)", 12, "expected 'of'"),
        ("at least 2 of a", 15, "expected '('"),
        ("missing(5)", 9, "missing() asks about one input"),
        ("missing(spo2", 13, "expected ')'"),
        ("sqrt(a)", 1,
         "knows no 'sqrt'; known: mean, min, max, sum, slope, count, missing, gated, disagreeing, known"),
        ("mean(hr)", 9, "expected 'over'"),
        ("mean(hr) over", 14, "expected a duration such as 10 min"),
        ("mean(hr) over 10", 15, "expected a duration such as 10 min"),
        ('mean(hr) over 10 "min"', 15, "expected a duration such as 10 min"),
        ("mean(hr) over 10 weeks", 15, "expected a duration such as 10 min"),
        ("mean(hr) over 0 min", 15, "a window has a length, of ten years at most"),
        ("mean(hr) over 3661 d", 15, "a window has a length, of ten years at most"),
        ("mean(hr) over " + "9" * 400 + " d", 15, "a window has a length, of ten years at most"),
        ("mean(hr) over 1 h with 0 values", 24, "expected a whole number above 0"),
        ("mean(hr) over 1 h with 5", 25, "expected 'values'"),
        ("x < " + "9" * 400, 5, "is too great a number"),
        ("(" * 41 + "a" + ")" * 41, 41, "is nested too deeply"),
        ("not " * 60 + "a", 161, "is nested too deeply"),
        ("a" + " + a" * 60, 79, "is nested too deeply"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_column(text, column, reason):
    with pytest.raises(ExpressionInvalid) as caught:
        parse_expression(text)

    assert (caught.value.column, caught.value.reason) == (column, reason)
    assert caught.value.text == text


def test_error_is_one_line_that_points_at_the_column():
    with pytest.raises(ExpressionInvalid) as caught:
        parse_expression("a\n< ?")

    assert str(caught.value) == "cannot read '?' (at column 5 of `a < ?`)"


@pytest.mark.parametrize("depth", [1, 39])
def test_nesting_that_nobody_writes_is_still_read(depth):
    assert parse_expression("(" * depth + "a < 1" + ")" * depth) == A
    assert parse_expression("not " * depth + "a")


@pytest.mark.parametrize("piece", ["not ", "(", "- ", "a + ", "a and (", "mean(", "at least 1 of (", "a < "])
def test_no_depth_ends_in_a_recursion_error(piece):
    with pytest.raises(ExpressionInvalid):
        parse_expression(piece * 3_000 + "%")
    with pytest.raises(ExpressionInvalid):
        parse_expression(piece * 3_000)


def test_wide_conditions_are_not_deep():
    assert len(parse_expression(" or ".join(["a < 1"] * 500)).operands) == 500


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "spo2",
        "news2.total",
        "90",
        "1.5",
        "(",
        ")",
        ",",
        "<",
        "<=",
        ">",
        ">=",
        "=",
        "!=",
        "+",
        "-",
        "*",
        "/",
        "and",
        "or",
        "not",
        "at",
        "least",
        "of",
        "over",
        "with",
        "values",
        "mean",
        "slope",
        "count",
        "missing",
        "known",
        "min",
        "10",
        "h",
        '"A"',
        '""',
        '"',
        "%",
        ".",
    ]
)


@given(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=40).map(" ".join)))
def test_any_text_gives_a_tree_or_an_error_inside_it(text):
    try:
        column = parse_expression(text).column
    except ExpressionInvalid as error:
        column = error.column

    assert 1 <= column <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "span_ms"),
    [("30 s", 30_000), ("1.5min", 90_000), (" 4h ", 14_400_000), ("2 d", 172_800_000), ("5 ms", 5),
    ("0 s", 0),
     ("3660 d", 3660 * 86_400_000)],
)  # fmt: skip
def test_duration_is_read_in_milliseconds(text, span_ms):
    assert parse_duration_ms(text) == span_ms


@pytest.mark.parametrize("text", ["", "30", "s", "-5 s", "5 sec", "5 s 3", "1e3 s", "٣ s", "5\u00b2 s"])
def test_what_is_no_duration_is_told(text):
    with pytest.raises(ExpressionInvalid, match="must be a duration such as 30 s"):
        parse_duration_ms(text)


@pytest.mark.parametrize("text", ["3661 d", "9" * 400 + " s"])
def test_duration_beyond_every_use_is_refused(text):
    with pytest.raises(ExpressionInvalid, match="is longer than ten years"):
        parse_duration_ms(text)
