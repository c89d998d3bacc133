"""The rules that are shipped: `vitals/warning/rules/*.yaml`, package data."""

from functools import cache
from importlib.resources import files

from vitals.warning.rule import Rule
from vitals.warning.rule_check import check_rule
from vitals.warning.rule_file import read_rules


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """Every shipped rule, each of which has passed its own tests, in the order of their names.

    Raises:
        RuleInvalid: one is wrong.
    """
    found = []
    for file in sorted(files("vitals.warning").joinpath("rules").iterdir(), key=lambda file: file.name):
        for rule in read_rules(file.read_text(encoding="utf-8"), origin=file.name):
            check_rule(rule)
            found.append(rule)
    return tuple(found)


def rules_of_pack(name: str) -> tuple[Rule, ...]:
    """The shipped rules of one pack."""
    return tuple(rule for rule in shipped_rules() if name in rule.packs)
