"""Mutants of the warning engine: each differs from it in one place, and its tests ought to notice.

Comparison and arithmetic signs, `and` and `or`, `not`, constants by one, truths, returned values, and
statements left out. A mutant is killed if a test fails, errs or hangs. It is written to its place in a copy
of the packages, and the tests of the copy run in a child process, which stops at the first failure.
"""

import ast
import contextlib
import copy
import multiprocessing
import multiprocessing.pool
import os
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec  # noqa: F401 once here instead of in every child
import numpy as np  # noqa: F401
import pytest
import yaml  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
TESTS_BY_MODULE = {
    "alarm": ("alarm",),
    "channel": ("channel", "watch", "condition"),
    "condition": ("condition", "watch"),
    "sample": ("sample", "channel"),
    "term": ("term", "rule_set", "watch"),
    "timeline": ("timeline",),
    "watch": ("watch", "condition", "timeline"),
    "window": ("window",),
}
WORKERS = 2
_MEMORY_MAX_BYTES = 2_000_000_000  # a mutant may fill a list for ever
_PYTEST_INI = "[pytest]\naddopts = --import-mode=importlib\ntimeout = 20\nmarkers =\n    slow: is slow\n"
_COMPARISONS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_SIGNS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One changed module."""

    module: str
    line: int
    change: str
    text: str


def count_killed(modules: list[str] | None, *, sample: int, seed: int) -> None:
    """Run the mutants and print who survived, then how many were killed."""
    mutants = [mutant for name in modules or TESTS_BY_MODULE for mutant in make_mutants(name)]
    total = len(mutants)
    if sample:
        mutants = random.Random(seed).sample(mutants, min(sample, total))
    killed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, _fork_pool() as pool:
        template = Path(folder) / "template"
        _copy(template)
        for name in sorted({mutant.module for mutant in mutants}):
            assert pool.apply(_pass_tests, (name, template)), f"the tests of {name} fail as they are"
        for number, is_killed in pool.imap_unordered(
            _try_mutant, [(*m, template) for m in enumerate(mutants)]
        ):
            mutant = mutants[number]
            killed[mutant.module] += is_killed
            if not is_killed:
                print(f"survived: {mutant.module}.py:{mutant.line}: {mutant.change}", flush=True)
    for name, count in Counter(mutant.module for mutant in mutants).items():
        print(f"{name}: {killed[name]} of {count}")
    share = 100 * killed.total() / len(mutants)
    print(f"{killed.total()} of {len(mutants)} killed ({share:.1f} %), {total} possible, seed {seed}")


def make_mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of one module."""
    tree = ast.parse(_read(module))
    declared = {
        id(inner) for node in ast.walk(tree) for part in _declarations(node) for inner in ast.walk(part)
    }
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in declared:
            continue
        for number, _ in enumerate(_changes(copy.deepcopy(node))):
            changed = copy.deepcopy(tree)
            target = next(node for at, node in enumerate(ast.walk(changed)) if at == place)
            before = ast.unparse(target).splitlines()[0][:60]
            change = next(change for at, change in enumerate(_changes(target)) if at == number)
            line = getattr(node, "lineno", 0)
            yield Mutant(
                module=module, line=line, change=f"{change} in `{before}`", text=ast.unparse(changed)
            )


def _declarations(node: ast.AST) -> list[ast.expr]:
    """What tells no test anything: `slots=True`, and types."""
    match node:
        case ast.ClassDef():
            return node.decorator_list
        case ast.AnnAssign():
            return [node.annotation]
        case ast.arg() if node.annotation is not None:
            return [node.annotation]
        case ast.FunctionDef() if node.returns is not None:
            return [node.returns]
    return []


def _read(module: str) -> str:
    return (ROOT / "vitals" / "warning" / f"{module}.py").read_text("utf-8")


def _changes(node: ast.AST) -> Iterator[str]:
    """Change the node in each way, one after another; whoever stops the iterator has that change alone."""
    match node:
        case ast.Compare() if type(node.ops[0]) in _COMPARISONS:
            node.ops[0] = _COMPARISONS[type(node.ops[0])]()
            yield "another comparison"
        case ast.BinOp() if type(node.op) in _SIGNS:
            node.op = _SIGNS[type(node.op)]()
            yield "another sign"
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "and for or"
        case ast.UnaryOp(op=ast.Not()):
            node.op = ast.UAdd()
            node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
            yield "without not"
        case ast.IfExp():
            node.body, node.orelse = node.orelse, node.body
            yield "the other choice"
        case ast.Constant():
            yield from _change_constant(node)
        case ast.Return() if node.value is not None and not _is_none(node.value):
            node.value = ast.Constant(None)
            yield "returns None"
        case ast.FunctionDef() | ast.If() | ast.For() | ast.While():
            yield from _leave_out(node)


def _change_constant(node: ast.Constant) -> Iterator[str]:
    value = node.value
    if isinstance(value, bool):
        node.value = not value
        yield f"not {value}"
    elif isinstance(value, int | float):
        node.value = value + 1
        yield f"{value} + 1"
        node.value = value - 1
        yield f"{value} - 1"


def _leave_out(node: ast.FunctionDef | ast.If | ast.For | ast.While) -> Iterator[str]:
    for place, statement in enumerate(node.body):
        if isinstance(statement, ast.Assign | ast.AugAssign) or _is_call(statement):
            node.body[place] = ast.Pass()
            yield f"without `{ast.unparse(statement)[:60]}`"
            node.body[place] = statement


def _is_call(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _copy(folder: Path) -> None:
    for name in ("vitals", "qianli"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "vitals" / "warning", folder / "tests" / "vitals" / "warning")
    (folder / "tests" / "fixtures").mkdir()
    for name in ("warning_rules.py", "random_conditions.py"):
        shutil.copy(ROOT / "tests" / "fixtures" / name, folder / "tests" / "fixtures" / name)
    shutil.copytree(ROOT / "tests" / "recordings" / "ews", folder / "tests" / "recordings" / "ews")
    (folder / "pytest.ini").write_text(_PYTEST_INI)


def _fork_pool() -> multiprocessing.pool.Pool:
    """Each task in a child of its own, which has imported nothing of ours that could differ."""
    return multiprocessing.get_context("fork").Pool(WORKERS, maxtasksperchild=1)


def _try_mutant(task: tuple[int, Mutant, Path]) -> tuple[int, bool]:
    """In a child process: whether the tests notice it."""
    number, mutant, template = task
    folder = template.with_name(str(number))
    shutil.copytree(template, folder)  # with what Python and pytest have compiled
    (folder / "vitals" / "warning" / f"{mutant.module}.py").write_text(mutant.text, "utf-8")
    is_killed = not _pass_tests(mutant.module, folder)
    shutil.rmtree(folder)
    return number, is_killed


def _pass_tests(module: str, folder: Path) -> bool:
    """In a child process: whether the tests of a module pass in that folder."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("vitals", "tests", "qianli")]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MAX_BYTES, _MEMORY_MAX_BYTES))
    tests = [f"tests/vitals/warning/test_{name}.py" for name in TESTS_BY_MODULE[module]]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-qx", "--tb=no", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return pytest.main([*options, *tests]) == pytest.ExitCode.OK
