"""What every subcommand has in common."""

import signal
import subprocess
import sys
from contextlib import suppress

CASE = '{"id": 1, "score": "NEWS2", "inputs": {}}\n'


def interrupt(command: "subprocess.Popen[str]") -> int:
    """Press Ctrl-C as a person does: once more if the first fell into the moment before a blocking read."""
    for _ in range(5):
        command.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return command.wait(timeout=4)
    return command.wait(timeout=1)


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "qianli", "score"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdin is not None
    assert command.stdout is not None
    command.stdin.write(CASE)
    command.stdin.flush()
    assert command.stdout.readline().startswith('{"id": 1')

    assert interrupt(command) == 130
    assert command.communicate()[1] == ""
