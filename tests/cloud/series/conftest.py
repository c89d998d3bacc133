"""Everything about continuous values holds in plain PostgreSQL and with TimescaleDB."""

import pytest

from tests.fixtures.services import make_database


@pytest.fixture(params=["postgres", pytest.param("timescale", marks=pytest.mark.timescale)])
def database_url(request):
    server = request.getfixturevalue(f"{request.param}_server")
    yield from make_database(server)
