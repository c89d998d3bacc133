"""What the locks bring in, judged from what lies on this machine; nothing is asked of any network."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("up.txt", "image.txt", "dev.txt")
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+?)(?:\s*;\s*(.+?))?\s*\\?$")
FREE = {
    "0BSD", "3-CLAUSE BSD LICENSE", "APACHE SOFTWARE LICENSE", "APACHE-2.0", "BLUEOAK-1.0.0",
    "BSD LICENSE", "BSD-2-CLAUSE", "BSD-3-CLAUSE", "CC0-1.0", "ISC", "ISC LICENSE (ISCL)", "MIT",
    "MIT LICENSE", "MIT-0", "MOZILLA PUBLIC LICENSE 2.0 (MPL 2.0)", "MPL-2.0", "PSF-2.0",
    "PYTHON SOFTWARE FOUNDATION LICENSE", "ZLIB",
}  # fmt: skip
USED_AS_THEY_ARE = {"psycopg", "psycopg-binary", "psycopg-pool", "libusb1"}
"""LGPL: libraries of their own that anybody may replace; nothing of them is copied."""


def pins(lock):
    """Name, version and whether it is for machines like this one."""
    for line in (ROOT / "requirements" / lock).read_text().splitlines():
        found = PIN.match(line)
        if found:
            yield found[1].lower(), found[2], found[3] is None or Marker(found[3]).evaluate()


def licences_of(name):
    told = metadata(name)
    if told["License-Expression"]:
        return told["License-Expression"]
    classified = [
        line.split("::")[-1].strip() for line in told.get_all("Classifier", []) if "License ::" in line
    ]
    return " OR ".join(classified) or told.get("License", "")


def is_free(expression):
    """One of the alternatives is free in all its parts."""
    alternatives = re.sub(r"^\((.*)\)$", r"\1", expression.upper()).split(" OR ")
    return any(all(part.strip() in FREE for part in one.split(" AND ")) for one in alternatives)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_licence_that_is_allowed(lock):
    here = [name for name, _, is_for_us in pins(lock) if is_for_us]
    wrong = {name: licences_of(name) for name in here if not is_free(licences_of(name))}

    assert len(here) > 30
    assert set(wrong) <= USED_AS_THEY_ARE, wrong


def refused():
    for line in (ROOT / "requirements" / "refused.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, specifier = line.split("#")[0].split()
            yield name, SpecifierSet(specifier)


@pytest.mark.parametrize("lock", [*LOCKS, "node.txt"])
def test_no_lock_holds_a_version_that_is_refused(lock):
    locked = {name: number for name, number, _ in pins(lock)}

    assert locked
    assert [name for name, wrong in refused() if name in locked and wrong.contains(locked[name])] == []


@pytest.mark.slow
def test_installed_is_what_is_locked_and_fits_together():
    differing = []
    for name, number, is_for_us in pins("dev.txt"):
        try:
            if is_for_us and version(name) != number:
                differing.append((name, number, version(name)))
        except PackageNotFoundError:
            differing.append((name, number, None))
    checked = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False
    )

    assert differing == []
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("lock", [*LOCKS, "node.txt"])
def test_every_pin_has_a_digest_and_no_address(lock):
    text = (ROOT / "requirements" / lock).read_text()

    assert text.count("==") <= text.count("--hash=sha256:")
    assert "://" not in text


def npm_packages():
    lock = json.loads((ROOT / "cloud" / "web" / "package-lock.json").read_text())
    return {path: package for path, package in lock["packages"].items() if path and not package.get("link")}


def test_every_npm_package_has_a_licence_that_is_allowed_and_a_digest():
    packages = npm_packages()

    assert len(packages) > 50
    assert {
        path: one.get("license") for path, one in packages.items() if not is_free(one.get("license", ""))
    } == {}
    assert [
        path for path, one in packages.items() if not one.get("integrity", "").startswith("sha512-")
    ] == []


def test_no_npm_package_runs_a_script_while_it_is_installed():
    known = {"node_modules/fsevents"}  # of macOS only

    assert {path for path, one in npm_packages().items() if one.get("hasInstallScript")} <= known


@pytest.mark.parametrize(
    ("expression", "free"),
    [
        ("MIT", True),
        ("EPL-2.0 OR BSD-3-Clause", True),
        ("MIT AND GPL-3.0-only", False),
        ("", False),
        ("(MIT OR CC0-1.0)", True),
    ],
)
def test_licence_expression_is_read_with_its_ands_and_ors(expression, free):
    assert is_free(expression) is free
