"""Connections to PostgreSQL: a pool for reading requests, single ones for long-lived writers."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from cloud.store.errors import DatabaseTooOld, DatabaseUnreachable

# Rows are named by each query's row factory, so the type of a bare row does not matter.
Database = psycopg.Connection[Any]
Pool = ConnectionPool[Database]

OLDEST_VERSION = 140_000
_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000 "
    # Of a machine that went away without a word the locks go too, and not after hours.
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
)

# A server that went away without a word is noticed before a lease is over, not after a quarter of an hour.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 3,
    "tcp_user_timeout": 8000,
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}


def connect(database_url: str, *, longest_pause_s: float = 0) -> Database:
    """One connection in UTC that gives up rather than hang.

    The server ends it, with what it holds, when a transaction says nothing for `longest_pause_s` (0: never).
    """
    options = f"{_OPTIONS} -c idle_in_transaction_session_timeout={round(longest_pause_s * 1000)}"
    return psycopg.connect(
        database_url, options=options, application_name="qianli", autocommit=True, **_PATIENCE
    )


def build_pool(database_url: str) -> Pool:
    """A pool, not yet open: it fails within 2 s while the database is away, and tries anew each time."""
    return ConnectionPool(
        database_url,
        kwargs={"options": _OPTIONS, "application_name": "qianli", "autocommit": True, **_PATIENCE},
        min_size=1,
        max_size=6,
        timeout=2.0,
        reconnect_timeout=2.0,
        check=ConnectionPool.check_connection,
        open=False,
        name="qianli",
    )


def await_database(
    database_url: str, *, patience_s: float = 60.0, sleep: Callable[[float], None] = time.sleep
) -> Database:
    """Connect, with growing pauses while the server is not there yet.

    Raises:
        DatabaseUnreachable: not within `patience_s`.
        DatabaseTooOld: it answers, but lacks what the schema needs.
    """
    waited_s, pause_s = 0.0, 0.1
    while True:
        try:
            connection = connect(database_url)
            break
        except psycopg.OperationalError as error:
            if waited_s >= patience_s:
                raise DatabaseUnreachable(waited_s, " ".join(str(error).split())) from error
        sleep(pause_s)
        waited_s += pause_s
        pause_s = min(pause_s * 2, 2.0)
    if connection.info.server_version < OLDEST_VERSION:
        version = connection.info.server_version
        connection.close()
        raise DatabaseTooOld(version)
    return connection
