"""A short data folder that also the database's own OS user can pass when root runs the tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qianli.home import Home, prepare_home


@pytest.fixture
def home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="qianli-"))
    folder.chmod(0o711)
    made = Home(path=folder)
    prepare_home(made)
    yield made
    shutil.rmtree(folder)
