"""Settings of an edge agent, from `QIANLI_…` environment variables."""

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from edge_agent.errors import SettingInvalid
from vitals.wire.topics import is_agent_name


class AgentSettings(BaseSettings):
    """Read once at start; every one is described in docs/operations.md."""

    model_config = SettingsConfigDict(env_prefix="QIANLI_", frozen=True)

    home: Path = Field(default_factory=lambda: Path.home() / ".qianli")
    """Where the spool lies."""
    mqtt_url: str = "mqtt://127.0.0.1:1883"
    agent: str = ""
    """Identity of this agent; empty: one is made at the first start and kept in the spool."""
    panel_port: int = 8010
    site_zone: str = "Asia/Shanghai"
    """Zone of the clocks in the devices of this site."""
    serial_lines: str = ""
    """Serial devices as `path=driver`, separated by commas."""
    spool_bytes: int = Field(default=2_000_000_000, ge=1_000_000)
    """What may wait on this disk while the cloud is away (docs/operations.md)."""
    spool_days: int = Field(default=60, ge=1)
    """For how long it may wait."""
    batch_s: float = Field(default=1.0, ge=0, le=60)
    """For how long continuous values of a sensor are gathered into one message (docs/operations.md)."""
    adopt_all: bool = False
    """Take every device that a driver knows, without a press on the panel."""

    @field_validator("agent")
    @classmethod
    def _check_agent(cls, name: str) -> str:
        if name and not is_agent_name(name):
            raise ValueError("lower-case letters, digits and hyphens only, at most 41")
        return name

    @field_validator("site_zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{name!r} is no IANA zone, such as Asia/Shanghai") from error
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The site's zone."""
        return ZoneInfo(self.site_zone)


def read_settings() -> AgentSettings:
    """The settings of this process.

    Raises:
        SettingInvalid: one cannot be used.
    """
    try:
        return AgentSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingInvalid(f"QIANLI_{name}", first["msg"]) from error
