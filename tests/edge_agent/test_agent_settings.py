import pytest

from edge_agent.errors import SettingInvalid
from edge_agent.settings import read_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QIANLI_AGENT", "Hut 1"),
        ("QIANLI_AGENT", "a/b"),
        ("QIANLI_SITE_ZONE", "Asia/Nowhere"),
        ("QIANLI_PANEL_PORT", "many"),
    ],
)
def test_setting_that_cannot_be_used_is_said_by_its_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingInvalid, match=name):
        read_settings()


def test_agent_without_a_name_and_one_with_hyphens_are_fine(monkeypatch):
    assert read_settings().agent == ""

    monkeypatch.setenv("QIANLI_AGENT", "hut-1")

    assert read_settings().agent == "hut-1"
