"""JSON as it goes on the wire: as it is, or as one zstd frame where that is shorter (RFC 8878).

JSON begins with `{`, a frame with 0x28, so that the first byte tells which it is.
"""

import threading

import zstandard

from vitals.wire.errors import WireInvalid

WORTH_FROM_BYTES = 256
LARGEST_BYTES = 1_048_576
LEVEL = 3
_FRAME = b"\x28\xb5\x2f\xfd"


class _Zstd(threading.local):
    """Made once in a thread: making one takes as long as unpacking a message, and no two may share it."""

    def __init__(self) -> None:
        self.pack = zstandard.ZstdCompressor(level=LEVEL).compress
        self.unpack = zstandard.ZstdDecompressor().decompress


_zstd = _Zstd()


def pack_text(text: bytes) -> bytes:
    """The shorter form."""
    if len(text) < WORTH_FROM_BYTES:
        return text
    packed = _zstd.pack(text)
    return packed if len(packed) < len(text) else text


def unpack_text(payload: bytes) -> bytes:
    """Inverse of `pack_text`.

    Raises:
        WireInvalid: the frame is broken, or would unpack to more than a message is.
    """
    if not payload.startswith(_FRAME):
        return payload
    try:
        if not 0 <= zstandard.frame_content_size(payload) <= LARGEST_BYTES:
            raise WireInvalid("it does not say how long it is, or is too long")
        return _zstd.unpack(payload)
    except zstandard.ZstdError as error:
        raise WireInvalid(f"it does not unpack: {error}") from error
