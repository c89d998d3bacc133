import pytest
from pydantic import ValidationError

from cloud.errors import SettingInvalid
from cloud.settings import CloudSettings, read_settings


@pytest.fixture(autouse=True)
def only_the_database(monkeypatch):
    monkeypatch.setenv("QIANLI_DATABASE_URL", "postgresql://u@/d")
    monkeypatch.delenv("QIANLI_HTTP_PORT", raising=False)


def test_defaults_need_only_a_database():
    settings = read_settings()

    assert (settings.http_port, settings.display_delay_ms) == (8000, 2000)


def test_missing_database_is_named(monkeypatch):
    monkeypatch.delenv("QIANLI_DATABASE_URL")

    with pytest.raises(SettingInvalid, match="QIANLI_DATABASE_URL"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "eighty"),
        ("HTTP_PORT", "-1"),
        ("HTTP_PORT", "70000"),
        ("OTLP_ENDPOINT", "collector:4318"),
    ],
)
def test_value_out_of_range_names_its_setting(monkeypatch, name, value):
    monkeypatch.setenv(f"QIANLI_{name}", value)

    with pytest.raises(SettingInvalid, match=f"QIANLI_{name}"):
        read_settings()


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        read_settings().http_port = 1


@pytest.mark.parametrize("name", sorted(CloudSettings.model_fields))
def test_every_setting_is_described(name):
    assert CloudSettings.model_fields[name].description
