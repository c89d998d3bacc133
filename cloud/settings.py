"""Settings of the cloud process, read from the environment only."""

import os
import socket
from datetime import timedelta
from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud.errors import SettingInvalid
from cloud.identity.model import SecondFactorPolicy
from cloud.objects.port import Place
from cloud.shards.model import MOST_GROUPS
from cloud.store.suite import Suite
from vitals.wire.invitation import DEFAULT_PORT


def _default_home() -> Path:
    """The same folder as that of `qianli up`."""
    return Path("/var/lib/qianli") if os.geteuid() == 0 else Path.home() / ".qianli"


class CloudSettings(BaseSettings):
    """Every setting of `python -m cloud`; each is an environment variable `QIANLI_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="QIANLI_", frozen=True)

    database_url: str = Field(
        default="", description="PostgreSQL 14 or later, for instance postgresql://user@host/name"
    )
    mqtt_url: str = Field(
        default="mqtt://qianli-cloud@127.0.0.1:1883",
        description="Broker: mqtt://user:password@host:port; `?version=3` skips the question for MQTT 5",
    )
    http_port: int = Field(default=8000, ge=0, le=65535, description="Port on 127.0.0.1; 0 takes a free one")
    home: Path = Field(
        default_factory=_default_home,
        description="Data folder; the cloud keeps its keys there, below `keys/`",
    )
    agent_port: int = Field(
        default=DEFAULT_PORT, ge=0, le=65535, description="Port of the agents' door; 0 takes a free one"
    )
    agent_hosts: str = Field(
        default="127.0.0.1,localhost",
        description="Names and addresses under which agents reach the door; the first stands in codes",
    )
    https_host: str | None = Field(
        default=None,
        description="Address for HTTPS from other machines; empty: all; unset: this machine only",
    )
    https_port: int = Field(default=8443, ge=0, le=65535, description="Port of HTTPS for other machines")
    https_names: str = Field(
        default="", description="Further names of this machine for its certificate, separated by commas"
    )
    trust_port: int = Field(
        default=8088, ge=0, le=65535, description="Port of the page from which phones take the certificate"
    )
    display_delay_ms: int = Field(
        default=2000, ge=0, le=30_000, description="How far behind the present the browser draws waves"
    )
    second_factor: SecondFactorPolicy = Field(
        default=SecondFactorPolicy.OFFERED,
        description="`required`: staff must set up an authenticator app or a passkey before anything else",
    )
    oidc_file: Path | None = Field(
        default=None, description="JSON file of the hospitals' OpenID providers; without it there are none"
    )
    signatures: Suite = Field(
        default=Suite.ED25519,
        description="How documents are signed: ed25519, ecdsa, or sm2 (with SM3 and SM4; needs the extra sm)",
    )
    retention_file: Path | None = Field(
        default=None, description="TOML file that says how long what is kept; without it the law's periods"
    )
    ingest_groups: int = Field(
        default=1,
        ge=1,
        le=MOST_GROUPS,
        description="Into how many groups the 256 shards of agents are divided among ingest workers",
    )
    worker_name: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        min_length=1,
        description="Name of an ingest worker; one that keeps its name after a crash goes on at once",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port on 127.0.0.1 where Prometheus may read how the process does; unset: none",
    )
    otlp_endpoint: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="OpenTelemetry collector that is told of traces, for instance http://127.0.0.1:4318",
    )
    retention_hour: int | None = Field(
        default=3, ge=0, le=23, description="Hour in China at which what is over is removed; empty: never"
    )

    compact_after_hours: int | None = Field(
        default=2,
        ge=0,
        le=24 * 365,
        description="Age at which an hour of a series is compressed; empty: never",
    )

    objects_url: str = Field(
        default="",
        description="Where large bytes lie: file:///FOLDER or s3://BUCKET/PREFIX; `objects/` of the home",
    )
    objects_endpoint: str = Field(default="", description="Address of an S3 server of one's own")
    objects_key: str = Field(default="", repr=False, description="Access key of the S3 server")
    objects_secret: str = Field(default="", repr=False, description="Secret of that access key")
    waves_to_objects_after_days: int | None = Field(
        default=3,
        ge=1,
        le=36_500,
        description="Age in whole days at which waves move to the object store; empty: never",
    )

    @field_validator("retention_hour", "compact_after_hours", "waves_to_objects_after_days", mode="before")
    @classmethod
    def _empty_is_never(cls, said: object) -> object:
        return None if said == "" else said

    @property
    def compact_after(self) -> timedelta | None:
        """The age of `compact_after_hours`; None is never."""
        return None if self.compact_after_hours is None else timedelta(hours=self.compact_after_hours)

    @property
    def waves_to_objects_after(self) -> timedelta | None:
        """The age of `waves_to_objects_after_days`; None is never."""
        days = self.waves_to_objects_after_days
        return None if days is None else timedelta(days=days)

    @property
    def objects(self) -> Place:
        """Where large bytes lie."""
        return Place(
            url=self.objects_url or (self.home.absolute() / "objects").as_uri(),
            endpoint=self.objects_endpoint,
            key=self.objects_key,
            secret=self.objects_secret,
        )

    @property
    def agent_names(self) -> list[str]:
        """The names and addresses of the agents' door, one at least."""
        return [name.strip() for name in self.agent_hosts.split(",") if name.strip()] or ["127.0.0.1"]

    @property
    def further_names(self) -> tuple[str, ...]:
        """The names of `https_names`."""
        return tuple(name.strip().lower() for name in self.https_names.split(",") if name.strip())


def read_settings() -> CloudSettings:
    """The settings of this process.

    Raises:
        SettingInvalid: one is missing or out of range.
    """
    try:
        settings = CloudSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingInvalid(f"QIANLI_{name}", first["msg"]) from error
    if not settings.database_url:
        raise SettingInvalid("QIANLI_DATABASE_URL", "it is not set; it names the PostgreSQL database")
    return settings
