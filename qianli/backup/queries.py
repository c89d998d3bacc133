"""What a backup asks of the server itself; nothing here reads about people."""

from contextlib import closing

import psycopg

from qianli.backup.journal import SLOT, STANDBY


def connect_to_server(database_url: str) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection for the server's own settings."""
    return psycopg.connect(database_url, autocommit=True, connect_timeout=3)


def keeps_log(database_url: str) -> bool:
    """Whether the server keeps its log for a journal already."""
    with closing(connect_to_server(database_url)) as connection:
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %s)", (SLOT,)
        ).fetchone()
    return bool(row and row[0])


def reserve_log(database_url: str) -> str:
    """Let the server keep its log for the journal from now on; tells from where."""
    with closing(connect_to_server(database_url)) as connection:
        connection.execute(
            "SELECT pg_create_physical_replication_slot(%(slot)s, true) "
            "WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %(slot)s)",
            {"slot": SLOT},
        )
        row = connection.execute(
            "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = %s", (SLOT,)
        ).fetchone()
    return "" if row is None else str(row[0])


def drop_log(database_url: str) -> None:
    """The server need not keep its log for the journal any more."""
    with closing(connect_to_server(database_url)) as connection:
        connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
            (SLOT,),
        )


def wait_for_journal(database_url: str, *, is_on: bool) -> None:
    """Whether a commit is answered only after the journal has it."""
    with closing(connect_to_server(database_url)) as connection:
        if is_on:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        else:
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        connection.execute("SELECT pg_reload_conf()")


def is_waited_for(database_url: str) -> bool:
    """Whether the server takes the journal for a synchronous standby at this moment."""
    with closing(connect_to_server(database_url)) as connection:
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_replication "
            "WHERE application_name = %s AND sync_state = 'sync')",
            (STANDBY,),
        ).fetchone()
    return bool(row and row[0])
