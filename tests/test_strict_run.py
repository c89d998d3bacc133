import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SKIPPING = """
import pytest
def test_skips():
    pytest.skip("no browser")
@pytest.fixture
def browser():
    pytest.skip("no browser")
def test_skips_in_a_fixture(browser):
    pass
@pytest.mark.timescale
def test_may_be_skipped():
    pytest.skip("no server with TimescaleDB")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strict", "outcome"), [("1", "1 failed, 1 skipped, 1 error"), ("0", "3 skipped")], ids=["strict", "free"]
)
def test_a_strict_run_turns_skips_into_failures(strict: str, outcome: str, tmp_path: Path) -> None:
    shutil.copy(HERE / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(SKIPPING)
    quiet = ["-q", "-W", "ignore::pytest.PytestUnknownMarkWarning"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, "-c", os.devnull, "--rootdir", tmp_path, tmp_path],
        env={"PATH": os.environ["PATH"], "QIANLI_STRICT": strict, "PYTHONPATH": str(HERE.parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert outcome in result.stdout
    assert (result.returncode != 0) == (strict == "1")
