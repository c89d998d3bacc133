"""The commands that the README shows for bytes and scores run as they stand there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "README.zh.md")


def commands_of(page: str) -> list[str]:
    """The lines of the section on tools, without their remarks."""
    section = re.split(r"^## (?:Tools|工具)$", (ROOT / page).read_text(), flags=re.MULTILINE)[1]
    return [line.split("  #")[0].strip() for line in section.split("```")[1].strip().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_tool_that_the_readme_shows_answers_in_json(page: str) -> None:
    commands = commands_of(page)
    assert len(commands) == 4
    for command in commands:
        here = command.replace(".venv/bin/qianli", f"{sys.executable} -m qianli")
        result = subprocess.run(here, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S602 # a line of our own page
        assert result.stderr == ""
        assert all(json.loads(line) for line in result.stdout.splitlines())


def test_both_languages_show_the_same_tools() -> None:
    assert commands_of(PAGES[0]) == commands_of(PAGES[1])
