import socket
import time

import pytest

from cloud.broker.buffered import BufferedSocket

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def ends():
    listener = socket.create_server(("127.0.0.1", 0))
    far = socket.create_connection(listener.getsockname())
    near, _ = listener.accept()
    listener.close()
    buffered = BufferedSocket(near)
    buffered.setblocking(flag=False)
    yield buffered, far
    buffered.close()
    far.close()


def received(buffered, size):
    deadline = time.monotonic() + 5
    while True:
        try:
            return buffered.recv(size)
        except BlockingIOError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_bytes_are_given_in_the_pieces_that_are_asked_for(ends):
    buffered, far = ends
    far.sendall(b"abcdef")

    assert received(buffered, 1) == b"a"
    assert buffered.has_unread
    assert (buffered.recv(2), buffered.recv(99)) == (b"bc", b"def")
    assert not buffered.has_unread


def test_nothing_yet_is_told_apart_from_the_end(ends):
    buffered, far = ends
    with pytest.raises(BlockingIOError):
        buffered.recv(1)

    far.close()

    assert received(buffered, 1) == b""


def test_packets_go_together_when_they_are_flushed(ends):
    buffered, far = ends
    assert (buffered.send(b"abc"), buffered.send(b"de")) == (3, 2)
    far.settimeout(0.1)
    with pytest.raises(TimeoutError):
        far.recv(1)
    assert buffered.has_unsent

    buffered.flush()

    assert far.recv(99) == b"abcde"
    assert not buffered.has_unsent


def test_what_the_other_side_does_not_take_is_kept_in_order(ends):
    buffered, far = ends
    content = bytes(range(256)) * 65_536
    buffered.send(content)
    buffered.flush()
    assert buffered.has_unsent

    taken = bytearray()
    while len(taken) < len(content):
        taken += far.recv(1 << 20)
        buffered.flush()

    assert bytes(taken) == content


def test_what_is_kept_goes_before_it_closes(ends):
    buffered, far = ends
    buffered.send(b"goodbye")

    buffered.close()

    assert (far.recv(99), far.recv(99)) == (b"goodbye", b"")


def test_connection_that_ended_is_told_by_the_flush(ends):
    buffered, far = ends
    far.close()

    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        call_until_nobody_is_there(buffered)


def call_until_nobody_is_there(buffered):
    for _ in range(100):
        buffered.send(b"anybody?")
        buffered.flush()
        time.sleep(0.01)


def test_small_packets_do_not_wait_for_one_another(ends):
    assert ends[0]._inner.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
