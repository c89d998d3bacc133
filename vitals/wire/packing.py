"""JSON as it goes on the wire: as it is, or as one zstd frame where that is shorter (RFC 8878).

JSON begins with `{`, a frame with 0x28, so that the first byte tells which it is.
"""

import zstandard

from vitals.wire.errors import WireInvalid

WORTH_FROM_BYTES = 256
LARGEST_BYTES = 1_048_576
LEVEL = 3
_FRAME = b"\x28\xb5\x2f\xfd"


def pack_text(text: bytes) -> bytes:
    """The shorter form."""
    if len(text) < WORTH_FROM_BYTES:
        return text
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(text)
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
        return zstandard.ZstdDecompressor().decompress(payload)
    except zstandard.ZstdError as error:
        raise WireInvalid(f"it does not unpack: {error}") from error
