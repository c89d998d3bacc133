"""Which processes make up an installation, how each is started, and how one sees that it works."""

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from urllib.error import HTTPError

from cloud.broker.address import AUTHORITY_FILE
from qianli.embedded.broker import broker_answers
from qianli.embedded.postgres import Programs, clear_stale_server, database_answers, server_command
from qianli.home import Home
from qianli.supervisor import CHILD_MARK, Child

STOP_ORDER = ("edge", "ingest", "cloud", "broker", "database")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of one run; all on the loopback interface but the last two, which are 0 without `--host`."""

    http: int
    mqtt: int
    panel: int
    agent: int
    https: int = 0
    trust: int = 0


def child_environment(
    home: Home, ports: Ports, *, database_url: str, mqtt_url: str, host: str | None
) -> dict[str, str]:
    """What every child is told; `host` is the address for other machines, None for this one alone."""
    told = {} if host is None else {"QIANLI_HTTPS_HOST": host}
    return {
        **os.environ,
        CHILD_MARK: str(home.path),
        "QIANLI_HOME": str(home.path),
        "QIANLI_DATABASE_URL": database_url,
        "QIANLI_MQTT_URL": mqtt_url,
        "QIANLI_HTTP_PORT": str(ports.http),
        "QIANLI_PANEL_PORT": str(ports.panel),
        "QIANLI_AGENT_PORT": str(ports.agent),
        "QIANLI_HTTPS_PORT": str(ports.https),
        "QIANLI_TRUST_PORT": str(ports.trust),
        **told,
        "PYTHONUNBUFFERED": "1",
    }


def embedded_mqtt_url(*, port: int) -> str:
    """Where edge and cloud find the embedded broker. It speaks 3.1.1: nobody needs to try version 5 first."""
    return f"mqtts://127.0.0.1:{port}?version=3"


def database_child(home: Home, programs: Programs) -> Child:
    """The embedded PostgreSQL; SIGINT asks it for a fast shutdown, SIGQUIT for one without a checkpoint."""
    return Child(
        name="database",
        zh="数据库",
        command=server_command(programs, home.postgres),
        log_path=home.logs / "database.log",
        is_ready=partial(database_answers, home.postgres),
        environment={**os.environ, CHILD_MARK: str(home.path)},
        user=programs.user,
        stop_signal=signal.SIGINT,
        harder_signal=signal.SIGQUIT,
        ready_within_s=180,
        before_start=partial(clear_stale_server, home.postgres),
    )


def broker_child(home: Home, environment: Mapping[str, str], *, port: int) -> Child:
    """The embedded broker."""
    return Child(
        name="broker",
        zh="消息代理",
        command=_python("-m", "qianli", "broker", "--port", str(port)),
        log_path=home.logs / "broker.log",
        is_ready=partial(broker_answers, port=port, authority=home.keys / AUTHORITY_FILE),
        environment=environment,
    )


def cloud_child(home: Home, environment: Mapping[str, str], *, port: int) -> Child:
    """The service and its pages."""
    return Child(
        name="cloud",
        zh="云端服务",
        command=_python("-m", "cloud", "serve"),
        log_path=home.logs / "cloud.log",
        is_ready=partial(http_answers, f"http://127.0.0.1:{port}/api/health"),
        environment=environment,
    )


def ingest_child(home: Home, environment: Mapping[str, str], *, port: int) -> Child:
    """What stores; its lease tells the service so. With a lasting name it goes on at once after a crash."""
    return Child(
        name="ingest",
        zh="存储进程",
        command=_python("-m", "cloud", "ingest"),
        log_path=home.logs / "ingest.log",
        is_ready=partial(health_says, f"http://127.0.0.1:{port}/api/health", "ingest"),
        environment={**environment, "QIANLI_WORKER_NAME": "local"},
    )


def edge_child(home: Home, environment: Mapping[str, str], *, port: int, demo: bool) -> Child:
    """The agent beside the patients; in the demo with virtual devices."""
    return Child(
        name="edge",
        zh="边缘代理",
        command=_python("-m", "qianli", "edge", "--demo") if demo else _python("-m", "edge_agent"),
        log_path=home.logs / "edge.log",
        is_ready=partial(http_answers, f"http://127.0.0.1:{port}/"),
        environment=environment,
    )


async def http_answers(address: str) -> bool:
    """Does a server there answer at all? Its answer may be an error."""
    return await asyncio.to_thread(_get, address)


async def health_says(address: str, part: str) -> bool:
    """Does the service there say that a part works?"""
    return await asyncio.to_thread(_read_health, address, part)


def _read_health(address: str, part: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310  # always http on the loopback
            return json.load(answer).get(part) is True
    except (OSError, HTTPException, ValueError):
        return False


def _get(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):  # noqa: S310  # always http on the loopback interface
            return True
    except HTTPError:
        return True
    except (OSError, HTTPException):
        return False


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
