"""A serial cable in software: a pseudo-terminal behind a path that stays when it is plugged in again."""

import os
import select
import tty
from pathlib import Path

DISCARD_BYTES = 4096


class PtyPort:
    """The device's end of the cable. What is written while nobody has the port open is lost, as on a wire."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master: int | None = None

    def plug_in(self) -> None:
        """Make the port appear at `path`. Plugging in twice is allowed."""
        if self._master is not None:
            return
        self._master, slave = os.openpty()
        os.set_blocking(self._master, False)
        tty.setraw(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        os.close(slave)  # from here on the master hangs up until somebody opens the port

    def pull_out(self) -> None:
        """Make the port vanish; whoever reads it sees the end."""
        if self._master is None:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._master)
        self._master = None

    @property
    def is_open(self) -> bool:
        """Whether somebody has the port open."""
        if self._master is None:
            return False
        poller = select.poll()
        poller.register(self._master, select.POLLIN)
        return not any(event & select.POLLHUP for _, event in poller.poll(0))

    def write(self, payload: bytes) -> None:
        """Send; what does not fit (the reader sleeps) is dropped, and what the reader sent is discarded."""
        if self._master is None or not self.is_open:
            return
        try:
            os.write(self._master, payload)
            os.read(self._master, DISCARD_BYTES)
        except OSError:  # full, empty, or closed just now: nothing that a device would notice
            return
