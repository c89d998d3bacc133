"""The sizes and rules of the code style that no linter knows."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("vitals", "devices", "dicom", "edge_agent", "cloud", "qianli")
MODULES = sorted(
    path for name in PACKAGES for path in (ROOT / name).rglob("*.py") if "node_modules" not in path.parts
)
LONGEST_FUNCTION = 60
LONGEST_MODULE = 600
FORBIDDEN = {"data", "info", "manager", "helper", "helpers", "util", "utils", "common", "misc", "stuff"}
PERSONAL = {"observation", "wave_block", "patient", "binding", "person_identifier", "patient_merge"}


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_module_is_one_idea(path):
    lines = path.read_text("utf-8").splitlines()
    functions = [
        node
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert len(lines) <= LONGEST_MODULE
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= LONGEST_FUNCTION] == []
    assert not FORBIDDEN.intersection(path.stem.split("_"))


def reading_queries():
    for path in MODULES:
        if path.name != "queries.py" or "cloud" not in path.parts:
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and reads_people(node):
                yield pytest.param(node, id=f"{named(path)}:{node.name}")


def reads_people(function):
    """Whether it selects from a table about people and gives the rows back."""
    texts = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    words = " ".join(texts).split()
    selected = {word.strip('(),"') for word in words}
    returns_rows = not (isinstance(function.returns, ast.Constant) and function.returns.value is None)
    return "SELECT" in selected and "INSERT" not in selected and returns_rows and bool(PERSONAL & selected)


@pytest.mark.parametrize("function", list(reading_queries()))
def test_reading_query_takes_a_subject(function):
    arguments = [*function.args.args, *function.args.kwonlyargs]

    assert any(argument.arg == "subject" for argument in arguments), ast.unparse(function.args)


def test_sql_stands_in_queries_only():
    allowed = {"queries.py", "migrate.py", "connection.py", "spool.py", "postgres.py", "timescale.py"}
    loud = [
        named(path)
        for path in MODULES
        if path.name not in allowed
        and any(word in path.read_text("utf-8") for word in ("INSERT INTO", "SELECT ", "DELETE FROM"))
    ]

    assert loud == []
