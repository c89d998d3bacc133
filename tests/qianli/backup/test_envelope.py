import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qianli.backup import envelope
from qianli.backup.envelope import (
    Lock,
    Opener,
    SealedStreamInvalid,
    SealedWriter,
    make_reader_keys,
    read_sealed,
)

PRIVATE, PUBLIC = make_reader_keys()
LOCK, OPENER = Lock(public_key=PUBLIC), Opener(private_key=PRIVATE)


class Memory(io.BytesIO):
    """A file in memory; there is nothing to make durable."""

    def fileno(self):
        return 0


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(envelope, "CHUNK_BYTES", 64)
    monkeypatch.setattr(envelope, "SCRYPT_N", 2)
    monkeypatch.setattr(envelope.os, "fsync", lambda _: None)


def sealed(content, lock=LOCK, *, is_finished=True):
    file = Memory()
    writer = SealedWriter(file, lock)
    writer.write(content)
    if is_finished:
        writer.finish()
    else:
        writer.push()
    return file.getvalue()


def opened(text, opener=OPENER, **how):
    return b"".join(read_sealed(io.BytesIO(text), opener, **how))


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_content_comes_back(content):
    assert opened(sealed(content)) == content


def test_passphrase_opens_what_it_sealed_and_no_other_does():
    text = sealed(b"x" * 100, Lock(passphrase="山重水复"))

    assert opened(text, Opener(passphrase="山重水复")) == b"x" * 100
    with pytest.raises(SealedStreamInvalid, match="another one"):
        opened(text, Opener(passphrase="柳暗花明"))
    with pytest.raises(SealedStreamInvalid, match="needs a passphrase"):
        opened(text, OPENER)


def test_another_private_key_opens_nothing():
    with pytest.raises(SealedStreamInvalid, match="another one"):
        opened(sealed(b"x"), Opener(private_key=make_reader_keys()[0]))
    with pytest.raises(SealedStreamInvalid, match="private key"):
        opened(sealed(b"x"), Opener(passphrase="x"))


def test_every_changed_byte_is_refused():
    text = sealed(b"abc" * 60)
    for place in range(len(text)):
        changed = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        with pytest.raises(SealedStreamInvalid):
            opened(changed)


def test_every_shortened_and_every_longer_file_is_refused():
    text = sealed(b"abc" * 60)
    for length in range(len(text)):
        with pytest.raises(SealedStreamInvalid):
            opened(text[:length])
    with pytest.raises(SealedStreamInvalid, match="added"):
        opened(text + b"\0")


def test_left_out_and_exchanged_chunks_are_refused():
    text = sealed(b"abc" * 100)
    size = 4 + 64 + 16
    start = text.index(b"\n", len(envelope.MAGIC)) + 1
    first, second = text[start : start + size], text[start + size : start + 2 * size]
    rest = text[start + 2 * size :]
    for wrong in (second + first + rest, second + rest, first + first + rest):
        with pytest.raises(SealedStreamInvalid, match="changed"):
            opened(text[:start] + wrong)


def test_journal_may_end_where_its_writer_was_killed_and_nothing_before_is_lost():
    text = sealed(b"abc" * 60, is_finished=False)

    assert opened(text, may_end_early=True) == b"abc" * 60
    for length in range(len(text) - 84, len(text)):
        assert (b"abc" * 60).startswith(opened(text[:length], may_end_early=True))
    with pytest.raises(SealedStreamInvalid, match="changed"):
        opened(text[:-1] + bytes([text[-1] ^ 1]), may_end_early=True)


@given(st.binary())
def test_any_bytes_are_no_sealed_file(content):
    with pytest.raises(SealedStreamInvalid):
        opened(envelope.MAGIC + content)
