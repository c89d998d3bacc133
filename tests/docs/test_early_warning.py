"""The page on early warning shows every score as it is declared."""

from pathlib import Path

from qianli.commands import rules
from qianli.commands.score import build_table
from vitals.warning.rule_check import check_rule
from vitals.warning.rule_file import read_rules
from vitals.warning.rule_pack import shipped_rules
from vitals.warning.score import score_by_name

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "early-warning.md").read_text(encoding="utf-8")
BEGINS = "<!-- written by `qianli score --table` -->\n"
ENDS = "\n<!-- end of the table -->"


def test_table_is_the_one_that_the_command_writes() -> None:
    table = PAGE.split(BEGINS)[1].split(ENDS)[0]
    assert table == build_table(score_by_name().values())


def test_every_score_stands_in_the_table_with_both_names() -> None:
    for score in score_by_name().values():
        assert f"| `{score.name}` {score.title_en} {score.title_zh} |" in PAGE


def test_scores_named_where_sources_differ_exist() -> None:
    section = PAGE.split("## Where sources differ")[1].split("\n## ")[0]
    rows = section.split("|---|---|---|---|\n")[1].splitlines()
    named = {name.strip() for row in rows if row.startswith("|") for name in row.split("|")[1].split(",")}
    assert len(named) >= 7
    assert named <= set(score_by_name())


def test_table_of_rules_is_the_one_that_the_command_writes() -> None:
    table = PAGE.split("<!-- written by `qianli rules list` -->\n")[1].split("\n<!-- end of the rules -->")[0]
    assert table == rules.build_table(shipped_rules())


def test_rule_on_the_page_loads_and_passes_its_own_test() -> None:
    (rule,) = read_rules(PAGE.split("```yaml\n")[1].split("```")[0])
    assert check_rule(rule).rules[0].rule.id == "spo2-low-adult"
