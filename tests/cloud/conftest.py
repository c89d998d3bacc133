"""The whole cloud, served over HTTP from a thread, with a demo ward."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher
from fastapi import FastAPI
from starlette.types import ASGIApp
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_websocket

from cloud.app import build_app
from cloud.assembly import Assembly, assemble
from cloud.identity.routes import COOKIE
from cloud.identity.service import utc_now
from cloud.listener import bind, http_config
from cloud.pace import Pace
from cloud.people.service import open_sealer
from cloud.seed import seed_ward
from cloud.settings import CloudSettings
from cloud.store.connection import connect
from cloud.ward.model import WardFile, WardPatient
from tests.fixtures.wire_messages import SOURCE

WARD = WardFile(
    agent="hut-1",
    patients=[
        WardPatient(id="p-1", bed="1", name_zh="张三", name_en="Zhang San", sources=[SOURCE], spo2_scale=2)
    ],
)


@dataclass(slots=True, kw_only=True)
class CloudServer:
    address: str
    assembly: Assembly
    app: FastAPI
    passwords: dict[str, str]
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, name: str | None = None) -> httpx.Client:
        client = httpx.Client(base_url=self.address, timeout=30)
        self.clients.append(client)
        if name is not None:
            answer = client.post("/api/login", json={"name": name, "password": self.passwords[name]})
            answer.raise_for_status()
        return client

    def websocket(self, client: httpx.Client | None = None, **fields: object) -> ClientConnection:
        headers = {} if client is None else {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        url = self.address.replace("http", "ws") + f"/api/live{fields.get('query', '')}"
        return connect_websocket(
            url, additional_headers=headers, origin=fields.get("origin", self.address), max_size=None
        )


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve as the service does, on a free port; gives the address."""
    with closing(bind("127.0.0.1", 0, setting="")) as bound:
        server = uvicorn.Server(http_config(app))
        thread = threading.Thread(target=server.run, args=[[bound]])
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def _quick_first_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts of a ward are made for each test: their first hashes need not be slow. A login is as it is."""
    quick = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("cloud.identity.service.PasswordHasher", quick)


@pytest.fixture
def pace() -> Pace | None:
    """How fast clients may ask; None as in service. A module that asks as fast as it can has its own."""
    return None


@pytest.fixture
def cloud_server(
    database_url: str, mqtt_url: str, tmp_path: Path, pace: Pace | None
) -> Iterator[CloudServer]:
    settings = CloudSettings(database_url=database_url, mqtt_url=mqtt_url, home=tmp_path / "home")
    with connect(database_url) as connection:
        sealer = open_sealer(connection, home=settings.home)
        accounts = seed_ward(connection, WARD, now=utc_now(), sealer=sealer)
        built = assemble(settings, connection)
    app = build_app(built, static=tmp_path / "static", pace=pace)
    passwords = {entry["name"]: entry["password"] for entry in accounts}
    with serving(app) as address:
        made = CloudServer(address=address, assembly=built, app=app, passwords=passwords)
        yield made
        for client in made.clients:
            client.close()
