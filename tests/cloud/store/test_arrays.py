import pytest

from cloud.store.arrays import pack_bytes, pack_ints, pack_texts

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.mark.parametrize(
    ("pack", "values"),
    [
        (pack_ints, [0, -1, 2**63 - 1, -(2**63)]),
        (pack_bytes, [b"", b"\x00\xff", bytes(70_000)]),
        (pack_texts, ["", "心率", "a,b{}\"'\\"]),
    ],
    ids=["ints", "bytes", "texts"],
)
def test_column_arrives_as_it_was(database, pack, values):
    told = "SELECT coalesce(array_agg(x ORDER BY n), '{}') FROM unnest(%b) WITH ORDINALITY AS u (x, n)"

    assert database.execute(told, [pack(values)]).fetchone()[0] == values
    assert database.execute(told, [pack([])]).fetchone()[0] == []


def test_lists_of_psycopg_are_as_before(database):
    assert database.execute("SELECT %b::bigint[], %b::text[]", ([1, None], ["a"])).fetchone() == (
        [1, None],
        ["a"],
    )


def test_number_of_more_than_64_bits_is_refused():
    with pytest.raises(OverflowError):
        pack_ints([2**63])
