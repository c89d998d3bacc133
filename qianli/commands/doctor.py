"""Look at this machine and say what each finding means."""

import argparse
import json
import os

from qianli.home import home_from_environment
from qianli.machine import Finding, Machine, Verdict
from qianli.web_build import repository_root

HELP = "check this machine (Python, disk, memory, Bluetooth, serial ports, clock, ports, pages)"
SIGNS = {Verdict.OK: "✓", Verdict.LIMITED: "!", Verdict.BLOCKED: "✗"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", help="one JSON array instead of lines for people")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 if one of them keeps Qianli from starting."""
    findings = Machine(home=home_from_environment(), checkout=repository_root()).look()
    if arguments.json:
        print(json.dumps([finding.as_json() for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            print(line_for_people(finding, language=os.environ.get("LC_ALL") or os.environ.get("LANG") or ""))
    return 1 if any(finding.verdict is Verdict.BLOCKED for finding in findings) else 0


def line_for_people(finding: Finding, *, language: str) -> str:
    """One line in Chinese for a Chinese locale, in English for an English one, else in both."""
    text = f"{finding.zh} · {finding.en}"
    if language.startswith("zh"):
        text = finding.zh
    elif language.startswith("en"):
        text = finding.en
    return f"{SIGNS[finding.verdict]} {finding.check:<10} {text}"
