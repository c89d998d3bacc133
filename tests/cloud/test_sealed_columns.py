"""Whatever is sealed moves when keys change: the schema itself is asked what that is."""

import pytest

from cloud.sealed_columns import SEALED_COLUMNS

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]
# What bytes in the database are when they are not sealed. A new column with another name fails a test below:
# declare it in its room if it is sealed, or add the word here if nothing of it is hidden.
NOT_SEALED = {
    "hash", "digest", "sha256", "key", "signature", "statement", "challenge", "fingerprint", "samples",
    "payload", "id", "cells", "minutes", "whole", "directory", "sections", "salt",
}  # fmt: skip


def columns_of_bytes(database):
    return {
        (table, column)
        for table, column in database.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'bytea'"
        ).fetchall()
    }


def test_every_sealed_column_of_the_schema_is_moved(database):
    sealed = {(table, column) for table, column in columns_of_bytes(database) if "sealed" in column}

    assert sealed == {(place.table, place.column) for place in SEALED_COLUMNS}
    assert len(sealed) >= 6


def test_bytes_of_an_unknown_name_may_be_sealed_and_must_be_looked_at(database):
    others = {(table, column) for table, column in columns_of_bytes(database) if "sealed" not in column}

    assert {one for one in others if one[1].split("_")[-1] not in NOT_SEALED} == set()


def test_key_and_context_of_every_declaration_are_columns(database):
    rows = database.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    ).fetchall()
    wanted = {(one.table, name) for one in SEALED_COLUMNS for name in (one.key, *one.named_by)}

    assert wanted - set(rows) == set()
