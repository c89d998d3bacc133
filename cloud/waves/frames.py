"""A block of a wave as a browser gets it, live or from history (docs/live-api.md)."""

import msgspec

from vitals.observation import SourceId
from vitals.wave import WaveBlock
from vitals.wire.status import WaveDeclaration


def encode_wave(
    patient_id: str, src: SourceId, block: WaveBlock, *, declared: WaveDeclaration, late: bool
) -> bytes:
    """Length and JSON header, padded to four bytes, then int32 samples."""
    header = msgspec.json.encode(
        {
            "patient": patient_id,
            "src": src,
            "stream": block.stream,
            "t0_us": block.t0_us,
            "rate": [block.rate_hz.numerator, block.rate_hz.denominator],
            "n": len(block.samples),
            "first": block.first_sample,
            "gain": declared.gain,
            "offset": declared.offset,
            "unit": declared.unit,
            "late": late,
        }
    )
    padding = b"\x00" * (-(4 + len(header)) % 4)
    samples = block.samples.astype("<i4").tobytes()
    return len(header).to_bytes(4, "little") + header + padding + samples
