"""What a person reads while a command runs: one line per thing that happened, in Chinese and English."""

import sys
import time


class Console:
    """Prints with the seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, zh: str, en: str) -> None:
        """Report one event."""
        elapsed_s = time.monotonic() - self._started
        print(f"[{elapsed_s:6.1f} s] {zh} · {en}", flush=True)

    def refuse(self, refusal: object) -> None:
        """Say on stderr why the command ends."""
        print(refusal, file=sys.stderr, flush=True)
