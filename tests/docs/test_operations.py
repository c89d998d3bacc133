"""The operations page names every setting that exists, and no other."""

import re
from pathlib import Path

from cloud.settings import CloudSettings
from edge_agent.settings import AgentSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
SETTING = re.compile(r"QIANLI_[A-Z][A-Z_]+[A-Z]")
PLACES = ("vitals", "devices", "dicom", "edge_agent", "cloud", "qianli")


def settings_in_code() -> set[str]:
    paths = [
        path for place in PLACES for path in (ROOT / place).rglob("*.py") if "node_modules" not in path.parts
    ]
    paths += [ROOT / "docker-compose.yml", ROOT / "Dockerfile", ROOT / "hatch_build.py"]
    named = {name for path in paths for name in SETTING.findall(path.read_text())}
    fields = [*CloudSettings.model_fields, *AgentSettings.model_fields]
    return named | {f"QIANLI_{field.upper()}" for field in fields}


def settings_in_tables() -> set[str]:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `QIANLI_")]
    return {match for row in rows for match in SETTING.findall(row.split("|")[1])}


def test_every_setting_is_described() -> None:
    assert settings_in_code() - settings_in_tables() == set()


def test_every_described_setting_exists() -> None:
    tests_only = {"QIANLI_STRICT", "QIANLI_SCREENSHOTS"}
    assert settings_in_tables() - settings_in_code() - tests_only == set()


def test_the_mosquitto_settings_are_those_of_the_compose_file() -> None:
    def settings(text: str) -> set[str]:
        words = ("listener", "allow_anonymous", "persist", "autosave", "max_", "log_type")
        return {line.strip() for line in text.splitlines() if line.strip().startswith(words)}

    compose = settings((ROOT / "docker-compose.yml").read_text())
    assert settings(PAGE) == {line for line in compose if not line.startswith("persistence_location")}


def test_the_image_copies_only_what_exists() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = [
        line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    sources = [source for line in copied for source in line]
    assert len(sources) > 10
    assert [source for source in sources if not (ROOT / source).exists()] == []
