"""Settings of an edge agent, from `QIANLI_…` environment variables."""

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    adopt_all: bool = False
    """Take every device that a driver knows, without a press on the panel."""

    @property
    def zone(self) -> ZoneInfo:
        """The site's zone."""
        return ZoneInfo(self.site_zone)
