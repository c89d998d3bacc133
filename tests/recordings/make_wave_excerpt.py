"""Builds the excerpt by which the size of waves is measured, from an open recording on a developer's disk.

    python tests/recordings/make_wave_excerpt.py PATH_TO_DATA

PATH_TO_DATA holds `ecg/alarm/a103l.mat`. The file's own scaling is finer than any device's resolution; here
it is brought to steps of 5 uV and of a 12-bit converter, as a monitor sends it. The output is committed.
"""

import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "waves" / "a103l_60s.npz"
RATE_HZ, EXCERPT_S = 250, 60
HEADER_BYTES = 24
STREAMS = {
    "ecg_ii": (0, -171, 7247.0, 0.005),
    "ecg_v": (1, 9127, 10520.0, 0.005),
    "pleth": (2, 6042, 12530.0, 0.001),
}
"""Column, baseline, units of the file per mV (or one), and the step of a device."""


def main(folder: Path) -> None:
    raw = np.frombuffer((folder / "ecg" / "alarm" / "a103l.mat").read_bytes()[HEADER_BYTES:], "<i2")
    columns = raw.reshape(-1, 3)[: RATE_HZ * EXCERPT_S].astype(float)
    np.savez_compressed(
        OUT,
        **{
            name: np.clip(np.rint((columns[:, column] - baseline) / gain / step), -2048, 2047).astype(
                np.int16
            )
            for name, (column, baseline, gain, step) in STREAMS.items()
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
