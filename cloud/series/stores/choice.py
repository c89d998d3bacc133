"""Which implementation of the port serves a database.

Asked by whoever has a connection, each time: an extension may have come since this process started, and what
erases must do so everywhere.
"""

from cloud.series.port import SeriesStore
from cloud.series.stores.postgres import POSTGRES
from cloud.series.stores.timescale import TIMESCALE, is_arranged
from cloud.store.connection import Database


def choose_series(connection: Database) -> SeriesStore:
    """By how the tables of a migrated database were arranged (migration 0017)."""
    return TIMESCALE if is_arranged(connection) else POSTGRES
